/* Where httpd keeps its modules and what it makes while it runs, as apxs reports it to the build. */
#ifndef WSGI_CINSTALLATION_H
#define WSGI_CINSTALLATION_H

const char *wsgi_installation_modules(void);
const char *wsgi_installation_runtime(void);

#endif
