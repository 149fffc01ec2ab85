/* httpd's authentication and authorization providers and its access phase, passed on to Swift. */
#include "private.h"

#include <ap_provider.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_auth.h>

_Static_assert(WSGI_HTTPD_AUTH_DENIED == AUTH_DENIED && WSGI_HTTPD_AUTH_GRANTED == AUTH_GRANTED &&
                   WSGI_HTTPD_AUTH_USER_FOUND == AUTH_USER_FOUND && WSGI_HTTPD_AUTH_NO_USER == AUTH_USER_NOT_FOUND &&
                   WSGI_HTTPD_AUTH_ERROR == AUTH_GENERAL_ERROR,
               "authn_status");

static authn_status check_password(request_rec *request, const char *user, const char *password) {
  return (authn_status)wsgi_swift_check_password(request, user, password);
}

static authn_status get_realm_hash(request_rec *request, const char *user, const char *realm, char **hash) {
  const char *found = NULL;
  authn_status status = (authn_status)wsgi_swift_get_realm_hash(request, user, realm, &found);
  if (found) *hash = apr_pstrdup(request->pool, found);
  return status;
}

/* Marks a Require that may be denied if the groups of a user are unknown. */
static const char denial_is_safe;

static const char *parse_require(cmd_parms *command, const char *line, const void **parsed) {
  (void)line;
  *parsed = command->directive && wsgi_swift_is_denial_safe(command->directive) ? &denial_is_safe : NULL;
  return NULL;
}

static authz_status check_group(request_rec *request, const char *required, const void *parsed) {
  /* The user must be known first; httpd then asks the client to authenticate. */
  if (!request->user) return AUTHZ_DENIED_NO_USER;
  switch (wsgi_swift_check_group(request, request->user, required)) {
    case WSGI_HTTPD_IN_GROUP: return AUTHZ_GRANTED;
    case WSGI_HTTPD_NOT_IN_GROUP: return AUTHZ_DENIED;
    default: return parsed == &denial_is_safe ? AUTHZ_DENIED : AUTHZ_GENERAL_ERROR;
  }
}

static const authn_provider authentication = {check_password, get_realm_hash};
static const authz_provider authorization = {check_group, parse_require};

/* PER_URI: a script may decide by the URI, so that what holds for a request does not hold for its sub-requests.  httpd asks
 * again for those that lead to another directory. */
void wsgi_httpd_register_auth(apr_pool_t *pool) {
  static const char *const after_ssl[] = {"mod_ssl.c", NULL};
  static const char *const before_hosts[] = {"mod_authz_host.c", NULL};
  ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "wsgi", AUTHN_PROVIDER_VERSION, &authentication,
                            AP_AUTH_INTERNAL_PER_URI);
  ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "wsgi-group", AUTHZ_PROVIDER_VERSION, &authorization,
                            AP_AUTH_INTERNAL_PER_URI);
  ap_hook_check_access(wsgi_swift_check_access, after_ssl, before_hosts, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_URI);
}

void wsgi_httpd_set_user(request_rec *request, const char *user) { request->user = apr_pstrdup(request->pool, user); }

const char *wsgi_httpd_next_word(request_rec *request, const char **line) {
  const char *word = ap_getword_conf(request->pool, line);
  return *word ? word : NULL;
}

int32_t wsgi_httpd_may_authenticate_instead(request_rec *request) {
  /* Not ap_some_authn_required, which runs the access phase to find out. */
  return ap_satisfies(request) == SATISFY_ANY && ap_auth_type(request);
}

const char *wsgi_httpd_remote_host(request_rec *request) { return ap_get_useragent_host(request, REMOTE_HOST, NULL); }

const char *wsgi_httpd_server_signature(request_rec *request) { return ap_psignature("", request); }
