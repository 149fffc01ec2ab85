/* Properties of servers, of the MPM and of httpd itself, and its log. */
#include "private.h"

#include <ap_mpm.h>
#include <dlfcn.h>
#include <http_main.h>
#include <mpm_common.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unixd.h>

void *wsgi_httpd_server_config(server_rec *server) {
  return ap_get_module_config(server->module_config, &wsgi_module);
}

void wsgi_httpd_set_server_config(server_rec *server, void *config) {
  ap_set_module_config(server->module_config, &wsgi_module, config);
}

server_rec *wsgi_httpd_next_server(server_rec *server) { return server->next; }

const char *wsgi_httpd_server_name(server_rec *server) { return server->server_hostname; }

int32_t wsgi_httpd_server_is_virtual(server_rec *server) { return server->is_virtual; }

const char *wsgi_httpd_server_address(server_rec *server, uint32_t n, uint32_t *port) {
  const server_addr_rec *address = server->addrs;
  while (address && n-- > 0) address = address->next;
  if (!address) return NULL;
  *port = address->host_port;
  return address->virthost;
}

const char *wsgi_httpd_server_alias(server_rec *server, uint32_t n) {
  const apr_array_header_t *lists[] = {server->names, server->wild_names};
  for (int list = 0; list < 2; list++) {
    uint32_t count = lists[list] ? (uint32_t)lists[list]->nelts : 0;
    if (n < count) return APR_ARRAY_IDX(lists[list], n, const char *);
    n -= count;
  }
  return NULL;
}

const char *wsgi_httpd_server_file(server_rec *server, uint32_t *line) {
  *line = server->defn_line_number;
  return server->defn_name;
}

wsgi_httpd_identity wsgi_httpd_get_identity(void) {
  return (wsgi_httpd_identity){ap_unixd_config.user_id, ap_unixd_config.group_id};
}

char *wsgi_httpd_runtime_path(apr_pool_t *pool, const char *name) { return ap_runtime_dir_relative(pool, name); }

int32_t wsgi_httpd_is_dry_run(void) { return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG; }

int32_t wsgi_httpd_is_config_test(void) { return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST; }

int32_t wsgi_httpd_is_defined(const char *name) { return ap_exists_config_define(name); }

const char *wsgi_httpd_error_log(server_rec *server, apr_pool_t *pool) {
  const char *name = server->error_fname;
  if (!name || *name == '|' || strncmp(name, "syslog", 6) == 0) return NULL;
  return ap_server_root_relative(pool, name);
}

const char *wsgi_httpd_pid_file(apr_pool_t *pool) { return ap_pid_fname ? ap_server_root_relative(pool, ap_pid_fname) : NULL; }

const char *wsgi_httpd_runtime_directory(apr_pool_t *pool) { return ap_runtime_dir_relative(pool, ""); }

int32_t wsgi_httpd_is_single_process(void) { return ap_exists_config_define("ONE_PROCESS") || ap_exists_config_define("DEBUG"); }

void wsgi_httpd_add_version_component(apr_pool_t *pool, const char *component) {
  ap_add_version_component(pool, component);
}

char *wsgi_httpd_image_path(void) {
  Dl_info image;
  return dladdr(&wsgi_module, &image) && image.dli_fname ? realpath(image.dli_fname, NULL) : NULL;
}

const char *wsgi_httpd_default_python(void) { return WSGI_DEFAULT_PYTHON; }

wsgi_httpd_facts wsgi_httpd_get_facts(void) {
  wsgi_httpd_facts facts;
  ap_version_t version;
  ap_get_server_revision(&version);
  facts.major = (uint32_t)version.major;
  facts.minor = (uint32_t)version.minor;
  facts.patch = (uint32_t)version.patch;
  facts.description = ap_get_server_description();
  facts.built = ap_get_server_built();
  facts.mpm = ap_show_mpm();
  int processes = 0, threads = 0;
  ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &processes);
  ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
  facts.maximum_processes = processes > 1 ? processes : 1;
  facts.maximum_threads = threads > 1 ? threads : 1;
  return facts;
}

/* ---- Log ---- */

static int clamp(size_t length) { return length > INT_MAX ? INT_MAX : (int)length; }

/* The source of a record. httpd escapes what that says, but not the name of the file, which an application may choose as it
 * likes. */
static const char *source(const char *file, uint32_t *line, char *room, size_t size) {
  if (!file) {
    *line = __LINE__;
    return __FILE__;
  }
  static const char digits[] = "0123456789abcdef";
  size_t length = strlen(file), used = 0;
  int is_plain = 1;
  for (size_t index = 0; index < length && is_plain; index++) is_plain = file[index] >= 0x20 && file[index] < 0x7f;
  if (is_plain) return file;
  for (size_t index = 0; index < length && used + 5 < size; index++) {
    unsigned char byte = (unsigned char)file[index];
    if (byte >= 0x20 && byte < 0x7f) {
      room[used++] = (char)byte;
    } else {
      room[used++] = '\\', room[used++] = 'x', room[used++] = digits[byte >> 4], room[used++] = digits[byte & 15];
    }
  }
  room[used] = 0;
  return room;
}

void wsgi_httpd_log_server(server_rec *server, int32_t level, const uint8_t *text, size_t length, const char *file,
                           uint32_t line) {
  char room[512];
  file = source(file, &line, room, sizeof room);
  ap_log_error(file, (int)line, APLOG_MODULE_INDEX, level, 0, server, "%.*s", clamp(length), (const char *)text);
}

void wsgi_httpd_log_request(request_rec *request, int32_t level, const char *prefix, const uint8_t *text, size_t length,
                            const char *file, uint32_t line) {
  char room[512];
  file = source(file, &line, room, sizeof room);
  ap_log_rerror(file, (int)line, APLOG_MODULE_INDEX, level, 0, request, "%s%.*s", prefix ? prefix : "", clamp(length),
                (const char *)text);
}

int32_t wsgi_httpd_server_log_level(server_rec *server) {
  return ap_get_server_module_loglevel(server, APLOG_MODULE_INDEX);
}

int32_t wsgi_httpd_request_log_level(request_rec *request) {
  return ap_get_request_module_loglevel(request, APLOG_MODULE_INDEX);
}
