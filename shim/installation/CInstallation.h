/* Where httpd is, and keeps its modules and what it makes while it runs, as apxs reports it to the build; and the Python that the
 * module was built for. */
#ifndef WSGI_CINSTALLATION_H
#define WSGI_CINSTALLATION_H

const char *wsgi_installation_modules(void);
const char *wsgi_installation_runtime(void);
const char *wsgi_installation_httpd(void);
const char *wsgi_installation_python(void);

#endif
