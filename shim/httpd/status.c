/* Facts for the status page: who may see it, and the wishes of the request. */
#include "private.h"

#include <ap_expr.h>
#include <http_protocol.h>
#include <http_request.h>

wsgi_httpd_place wsgi_httpd_handler_place(request_rec *request) {
  const core_dir_config *settings = ap_get_core_module_config(request->per_dir_config);
  const ap_expr_info_t *place = settings ? settings->expr_handler : NULL;
  if (!place) return (wsgi_httpd_place){NULL, 0};
  return (wsgi_httpd_place){place->filename, place->line_number};
}

int32_t wsgi_httpd_requires_authorization(request_rec *request) {
  /* mod_authz_core's function: whether a Require applies to the request and its method.  Not
   * ap_some_authn_required, which asks whether a user must be known; `Require local` needs none. */
  APR_OPTIONAL_FN_TYPE(authz_some_auth_required) *required = APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
  return required && required(request);
}

const char *wsgi_httpd_request_accept(request_rec *request) { return apr_table_get(request->headers_in, "Accept"); }

int32_t wsgi_httpd_is_get_or_head(request_rec *request) {
  if (request->method_number == M_GET) return 1;
  ap_allow_standard_methods(request, REPLACE_ALLOW, M_GET, -1);
  return 0;
}
