#ifndef WSGI_CHTTPD_H
#define WSGI_CHTTPD_H
int wsgi_swift_hello(void);
#endif
