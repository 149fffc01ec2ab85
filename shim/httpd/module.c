/* The module record: its directive table, its hooks and its pool cleanups. Swift decides. */
#include "private.h"

#include <apr_strings.h>
#include <http_connection.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

/* ---- Directives ---- */

/* Room for every directive, and an empty row that ends the table.  Static: httpd keeps pointers into it, and the image
 * stays mapped (-z nodelete) while httpd believes that it has unloaded and loaded it again. */
static command_rec directives[96];
static uint32_t directive_count;

static const char *run_directive(cmd_parms *command, void *directory_config, const char *arguments) {
  uint32_t index = (uint32_t)(uintptr_t)command->info;
  return wsgi_swift_directive(command, directory_config, index, arguments);
}

void wsgi_httpd_add_directive(const char *name, const char *description, int32_t override, uint32_t index) {
  if (directive_count + 1 >= sizeof(directives) / sizeof(directives[0])) return;
  directives[directive_count++] =
      (command_rec)AP_INIT_RAW_ARGS(name, run_directive, (void *)(uintptr_t)index, override, description);
}

/* httpd reads the table when it adds the module, before it calls any function of it. */
__attribute__((constructor)) static void register_directives(void) { wsgi_swift_register_directives(); }

wsgi_httpd_command wsgi_httpd_describe_command(cmd_parms *command) {
  wsgi_httpd_command description;
  description.pool = command->pool;
  description.server = command->server;
  description.file = command->directive && command->directive->filename ? command->directive->filename : "";
  description.line = command->directive ? (uint32_t)command->directive->line_num : 0;
  description.is_htaccess = command->pool == command->temp_pool;
  description.path = command->path;
  description.directive = command->directive;
  return description;
}

wsgi_httpd_directive wsgi_httpd_read_directive(const void *pointer) {
  const ap_directive_t *directive = pointer;
  return (wsgi_httpd_directive){
      directive->directive, directive->args,        directive->filename, (uint32_t)directive->line_num,
      directive->next,      directive->first_child, directive->parent,
  };
}

const void *wsgi_httpd_configuration_tree(void) { return ap_conftree; }

const char *wsgi_httpd_walk_section(cmd_parms *command) {
  ap_directive_t *first = command->directive ? command->directive->first_child : NULL;
  return first ? ap_walk_config(first, command, command->context) : NULL;
}

/* ---- Pools ---- */

void wsgi_httpd_at_pool_end(apr_pool_t *pool, void *object, int32_t (*end)(void *)) {
  apr_pool_cleanup_register(pool, object, end, apr_pool_cleanup_null);
}

char *wsgi_httpd_copy(apr_pool_t *pool, const void *bytes, size_t length) { return apr_pstrmemdup(pool, bytes, length); }

/* ---- Hooks ---- */

static void register_hooks(apr_pool_t *pool) {
  static const char *const after_alias[] = {"mod_alias.c", NULL};
  static const char *const before_guesses[] = {"mod_userdir.c", "mod_vhost_alias.c", NULL};
  ap_hook_pre_config(wsgi_swift_pre_config, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_check_config(wsgi_swift_check_config, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_post_config(wsgi_swift_post_config, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_child_init(wsgi_swift_child_init, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_translate_name(wsgi_swift_translate_name, after_alias, before_guesses, APR_HOOK_MIDDLE);
  ap_hook_handler(wsgi_swift_handler, NULL, NULL, APR_HOOK_MIDDLE);
  wsgi_httpd_register_optional_functions();
  wsgi_httpd_register_auth(pool);
  wsgi_httpd_register_daemons();
  wsgi_httpd_register_input_filter();
}

/* STANDARD20_MODULE_STUFF but for the file name, which would be this one's: configurations know the module by that of mod_wsgi,
 * in <IfModule mod_wsgi.c> and in LogLevel. */
module AP_MODULE_DECLARE_DATA wsgi_module = {
    MODULE_MAGIC_NUMBER_MAJOR,
    MODULE_MAGIC_NUMBER_MINOR,
    -1,
    "mod_wsgi.c",
    NULL,
    NULL,
    MODULE_MAGIC_COOKIE,
    NULL,
    wsgi_swift_create_directory_config,
    wsgi_swift_merge_directory_config,
    wsgi_swift_create_server_config,
    wsgi_swift_merge_server_config,
    directives,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};
