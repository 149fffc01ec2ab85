/* Properties of a request. */
#include "private.h"

#include <ap_expr.h>
#include <apr_hash.h>
#include <apr_optional.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_ssl.h>
#include <stdlib.h>
#include <string.h>
#include <util_filter.h>
#include <util_script.h>

/* Swift walks tables in place. */
_Static_assert(sizeof(wsgi_httpd_entry) == sizeof(apr_table_entry_t), "apr_table_entry_t");
_Static_assert(offsetof(wsgi_httpd_entry, key) == offsetof(apr_table_entry_t, key), "apr_table_entry_t");
_Static_assert(offsetof(wsgi_httpd_entry, value) == offsetof(apr_table_entry_t, val), "apr_table_entry_t");

static wsgi_httpd_table rows(const apr_table_t *table) {
  const apr_array_header_t *array = apr_table_elts(table);
  return (wsgi_httpd_table){(const wsgi_httpd_entry *)array->elts, (size_t)array->nelts};
}

/* ---- mod_ssl ---- */

static APR_OPTIONAL_FN_TYPE(ssl_is_https) *is_https;
static APR_OPTIONAL_FN_TYPE(ssl_var_lookup) *ssl_variable;

static void retrieve_optional_functions(void) {
  is_https = APR_RETRIEVE_OPTIONAL_FN(ssl_is_https);
  ssl_variable = APR_RETRIEVE_OPTIONAL_FN(ssl_var_lookup);
}

void wsgi_httpd_register_optional_functions(void) {
  ap_hook_optional_fn_retrieve(retrieve_optional_functions, NULL, NULL, APR_HOOK_MIDDLE);
}

int32_t wsgi_httpd_is_https(request_rec *request) { return is_https ? is_https(request->connection) != 0 : 0; }

const char *wsgi_httpd_ssl_variable(request_rec *request, const char *name) {
  if (!ssl_variable) return NULL;
  return ssl_variable(request->pool, request->server, request->connection, request, apr_pstrdup(request->pool, name));
}

/* ---- The handler's checks ---- */

wsgi_httpd_target wsgi_httpd_get_target(request_rec *request) {
  int exists = request->finfo.filetype != APR_NOFILE;
  return (wsgi_httpd_target){
      .transfer_encoding = apr_table_get(request->headers_in, "Transfer-Encoding"),
      .content_length = apr_table_get(request->headers_in, "Content-Length"),
      .body_limit = ap_get_limit_req_body(request),
      .modified = exists ? request->finfo.mtime : INT64_MIN,
      .file_exists = exists,
      .file_is_directory = request->finfo.filetype == APR_DIR,
      .may_execute = (ap_allow_options(request) & OPT_EXECCGI) != 0,
      .rejects_path_info = request->used_path_info == AP_REQ_REJECT_PATH_INFO,
  };
}

/* ---- The environ's sources ---- */

static const char *escaped_server_name(request_rec *request) {
  const char *name = ap_get_server_name_for_url(request);
  return strpbrk(name, "<>&\"'") ? ap_escape_html(request->pool, name) : name;
}

static int uses_current_uri(const core_dir_config *core) {
  if (!core->cgi_var_rules) return 0;
  const char *rule = apr_hash_get(core->cgi_var_rules, "REQUEST_URI", APR_HASH_KEY_STRING);
  return rule && strcmp(rule, "current-uri") == 0;
}

wsgi_httpd_request wsgi_httpd_get_request(request_rec *request) {
  wsgi_httpd_request fields;
  conn_rec *connection = request->connection;
  const core_dir_config *core = ap_get_core_module_config(request->per_dir_config);
  fields.method = request->method;
  fields.protocol = request->protocol;
  fields.the_request = request->the_request;
  fields.filename = request->filename;
  fields.user = request->user;
  fields.auth_type = request->ap_auth_type;
  fields.redirect_user = NULL;
  for (request_rec *r = request->prev; r && !request->user && !fields.redirect_user; r = r->prev) {
    fields.redirect_user = r->user;
  }
  fields.redirect_query = request->prev ? request->prev->args : NULL;
  fields.redirect_url = request->prev ? request->prev->uri : NULL;
  fields.server_name = escaped_server_name(request);
  fields.server_admin = request->server->server_admin;
  fields.server_software = ap_get_server_banner();
  fields.scheme = ap_http_scheme(request);
  fields.document_root = ap_document_root(request);
  fields.context_prefix = ap_context_prefix(request);
  fields.context_document_root = ap_context_document_root(request);
  fields.server_address = connection->local_ip;
  fields.listener_host = connection->local_addr->hostname;
  if (!request->log_id) ap_run_generate_log_id(connection, request, &request->log_id);
  fields.request_id = request->log_id;
  fields.connection_id = connection->log_id;
  fields.server_port = ap_get_server_port(request);
  fields.remote_port = connection->client_addr->port;
  fields.listener_port = connection->local_addr->port;
  fields.is_head = request->header_only;
  /* The second name is one that httpd's filter knows as well. */
  fields.wants_ranges = apr_table_get(request->headers_in, "Range") || apr_table_get(request->headers_in, "Request-Range");
  fields.passes_authorization = core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
  fields.current_uri = uses_current_uri(core);
  fields.filters_content = request->output_filters && request->output_filters->frec->ftype < AP_FTYPE_PROTOCOL;
  fields.headers = rows(request->headers_in);
  fields.variables = rows(request->subprocess_env);
  return fields;
}

/* ---- Names ---- */

/* As ap_get_server_port has it; but where a client names a port, be it whatever it likes, that of ServerName or of the listener
 * is meant. */
uint32_t wsgi_httpd_request_port(request_rec *request) {
  const core_dir_config *core = ap_get_core_module_config(request->per_dir_config);
  uint32_t server = request->server->port;
  uint32_t listener = request->connection->local_addr->port;
  int uses_listener = core->use_canonical_phys_port == USE_CANONICAL_PHYS_PORT_ON;
  if (core->use_canonical_name == USE_CANONICAL_NAME_ON) {
    if (server) return server;
  } else {
    if (uses_listener) return listener;
    if (server) return server;
    uses_listener = request->parsed_uri.port_str != NULL;
  }
  return uses_listener ? listener : ap_default_port(request);
}

const char *wsgi_httpd_request_variable(request_rec *request, const char *name) {
  const char *value = apr_table_get(request->notes, name);
  if (!value) value = apr_table_get(request->subprocess_env, name);
  return value ? value : getenv(name);
}

/* ---- The request's place ---- */

wsgi_httpd_view wsgi_httpd_look_at(request_rec *request) {
  return (wsgi_httpd_view){
      .server = request->server,
      .directory_config = ap_get_module_config(request->per_dir_config, &wsgi_module),
      .note = ap_get_module_config(request->request_config, &wsgi_module),
      .filename = request->filename,
      .handler = request->handler,
      .method = request->method,
      .uri = request->uri,
      .path_info = request->path_info,
      .arguments = request->args,
      .host = request->hostname,
      .server_name = request->server->server_hostname,
      .remote_address = request->useragent_ip,
      .time = request->request_time,
  };
}

apr_pool_t *wsgi_httpd_request_pool(request_rec *request) { return request->pool; }

void wsgi_httpd_set_request_note(request_rec *request, void *note) {
  ap_set_module_config(request->request_config, &wsgi_module, note);
}

void wsgi_httpd_force_script(request_rec *request, const char *filename) {
  request->filename = apr_pstrdup(request->pool, filename);
  request->handler = "wsgi-script";
  apr_table_setn(request->notes, "alias-forced-type", request->handler);
}

int32_t wsgi_httpd_discard_body(request_rec *request) { return ap_discard_request_body(request); }

/* ---- Regular expressions ---- */

void *wsgi_httpd_compile(apr_pool_t *pool, const char *source) { return ap_pregcomp(pool, source, AP_REG_EXTENDED); }

_Static_assert(sizeof(wsgi_httpd_capture) == sizeof(ap_regmatch_t), "ap_regmatch_t");
_Static_assert(offsetof(wsgi_httpd_capture, end) == offsetof(ap_regmatch_t, rm_eo), "ap_regmatch_t");

int32_t wsgi_httpd_match(const void *expression, const char *string, wsgi_httpd_capture *captures) {
  return ap_regexec(expression, string, WSGI_HTTPD_CAPTURES, (ap_regmatch_t *)captures, 0) == 0;
}

/* ---- The status page: who may see it, and the wishes of the request ---- */

wsgi_httpd_place wsgi_httpd_handler_place(request_rec *request) {
  const core_dir_config *settings = ap_get_core_module_config(request->per_dir_config);
  const ap_expr_info_t *place = settings ? settings->expr_handler : NULL;
  return place ? (wsgi_httpd_place){place->filename, place->line_number} : (wsgi_httpd_place){NULL, 0};
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
