/* Shared by the C files of this directory. */
#ifndef WSGI_HTTPD_PRIVATE_H
#define WSGI_HTTPD_PRIVATE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>

#include "CHTTPD.h"

APLOG_USE_MODULE(wsgi);
extern module AP_MODULE_DECLARE_DATA wsgi_module;

/* Asks mod_ssl for its functions whenever httpd has (re)loaded its modules. */
void wsgi_httpd_register_optional_functions(void);
void wsgi_httpd_register_daemons(void);

/* Registers the providers and hooks of auth.c. */
void wsgi_httpd_register_auth(apr_pool_t *pool);

/* Registers the filter of input.c. */
void wsgi_httpd_register_input_filter(void);

#endif
