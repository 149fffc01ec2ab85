#include "CHTTPD.h"
#include <httpd.h>
#include <http_config.h>
static void hooks(apr_pool_t *p) { wsgi_swift_hello(); }
module AP_MODULE_DECLARE_DATA wsgi_module = { STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, hooks, 0 };
