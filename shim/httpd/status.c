/* What the status page asks of httpd: who may see it, and what the request asks for. */
#include "private.h"

#include <ap_expr.h>
#include <http_protocol.h>
#include <http_request.h>
#include <strings.h>
#include <util_cfgtree.h>

static int starts_with(const char *text, const char *prefix) { return strncasecmp(text, prefix, strlen(prefix)) == 0; }

/* Sections that httpd keeps settings of their own for.  Others, <IfModule> or <RequireAny>, are part of the one around them. */
static int is_scope(const ap_directive_t *directive) {
  static const char *const scopes[] = {"<Location", "<Directory", "<Files", "<If",   "<ElseIf",
                                       "<Else",     "<Proxy",     "<VirtualHost", NULL};
  static const char *const transparent[] = {"<IfModule", "<IfDefine",    "<IfVersion",
                                            "<IfFile",   "<IfDirective", "<IfSection", NULL};
  for (const char *const *name = transparent; *name; name++) {
    if (strcasecmp(directive->directive, *name) == 0) return 0;
  }
  for (const char *const *name = scopes; *name; name++) {
    if (starts_with(directive->directive, *name)) return 1;
  }
  return 0;
}

static int has_requirement(const ap_directive_t *directive) {
  for (; directive; directive = directive->next) {
    if (starts_with(directive->directive, "Require") || starts_with(directive->directive, "<Require")) return 1;
    if (directive->first_child && !is_scope(directive) && has_requirement(directive->first_child)) return 1;
  }
  return 0;
}

/* Whether the SetHandler at that place is in a section with a Require; -1: there is no such directive.  `scope` is the first
 * directive of the section that `directive` belongs to. */
static int is_guarded(const ap_directive_t *directive, const ap_directive_t *scope, const ap_expr_info_t *place) {
  for (; directive; directive = directive->next) {
    if (directive->first_child) {
      int found = is_guarded(directive->first_child, is_scope(directive) ? directive->first_child : scope, place);
      if (found >= 0) return found;
    } else if (strcasecmp(directive->directive, "SetHandler") == 0 && directive->filename &&
               directive->line_num == (int)place->line_number && strcmp(directive->filename, place->filename) == 0) {
      return has_requirement(scope);
    }
  }
  return -1;
}

wsgi_httpd_status_guard wsgi_httpd_find_status_guard(request_rec *request) {
  wsgi_httpd_status_guard guard = {.file = ""};
  const core_dir_config *settings = ap_get_core_module_config(request->per_dir_config);
  const ap_expr_info_t *place = settings ? settings->expr_handler : NULL;
  /* What is not in the tree is in an .htaccess file, or came about by another directive. */
  if (!place || !place->filename) return guard;
  int found = is_guarded(ap_conftree, ap_conftree, place);
  guard.is_found = found >= 0;
  guard.is_guarded = found > 0;
  guard.file = place->filename;
  guard.line = place->line_number;
  return guard;
}

int32_t wsgi_httpd_requires_authorization(request_rec *request) {
  /* What mod_authz_core offers for this: whether a Require applies to the request and its method.  Not
   * ap_some_authn_required, which asks whether a user must be known; `Require local` needs none. */
  APR_OPTIONAL_FN_TYPE(authz_some_auth_required) *required = APR_RETRIEVE_OPTIONAL_FN(authz_some_auth_required);
  return required && required(request);
}

const char *wsgi_httpd_request_arguments(request_rec *request) { return request->args; }

const char *wsgi_httpd_request_accept(request_rec *request) { return apr_table_get(request->headers_in, "Accept"); }

int32_t wsgi_httpd_is_get_or_head(request_rec *request) {
  if (request->method_number == M_GET) return 1;
  ap_allow_standard_methods(request, REPLACE_ALLOW, M_GET, -1);
  return 0;
}

int64_t wsgi_httpd_request_time(request_rec *request) { return request->request_time; }
