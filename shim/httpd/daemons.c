/* The processes beside httpd's own: supervisors of process groups, as "other children" of the parent. */
#include "private.h"

#include <ap_listen.h>
#include <ap_mpm.h>
#include <apr_thread_proc.h>
#include <http_core.h>
#include <mpm_common.h>
#include <scoreboard.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unixd.h>

/* A registered process; it is kept as long as httpd runs. */
struct wsgi_httpd_other_child {
  apr_proc_t process;
  void *context;
};

static void ended(int reason, void *data, apr_wait_t status) {
  struct wsgi_httpd_other_child *child = data;
  if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) return;
  apr_proc_other_child_unregister(child);
  int known = reason == APR_OC_REASON_DEATH && WIFEXITED(status);
  wsgi_swift_supervisor_ended(child->context, known ? WEXITSTATUS(status) : -1);
}

int32_t wsgi_httpd_watch_process(server_rec *server, int32_t pid, void *context) {
  /* Not the configuration's pool: a supervisor outlives its configuration, and httpd must know it when it ends. */
  struct wsgi_httpd_other_child *child = calloc(1, sizeof(*child));
  if (!child) return -1;
  child->process.pid = pid;
  child->context = context;
  apr_proc_other_child_register(&child->process, ended, child, NULL, server->process->pool);
  return 0;
}

void wsgi_httpd_close_listeners(void) { ap_close_listeners(); }

int32_t wsgi_httpd_has_scoreboard(void) { return ap_scoreboard_image != NULL; }

int32_t wsgi_httpd_is_exiting(void) { return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING; }

int32_t wsgi_httpd_is_ungraceful(void) {
  ap_unixd_mpm_retained_data *retained = ap_unixd_mpm_get_retained_data();
  /* The MPM's own cleanup, which precedes ours, has turned the one into the other. */
  return retained && (retained->is_ungraceful || !retained->was_graceful);
}

int32_t wsgi_httpd_allows_core_dumps(void) { return ap_coredumpdir_configured; }

int64_t wsgi_httpd_server_timeout_milliseconds(server_rec *server) { return apr_time_as_msec(server->timeout); }

static int pre_mpm(apr_pool_t *pool, ap_scoreboard_e type) {
  (void)pool, (void)type;
  wsgi_swift_scoreboard_is_there();
  return OK;
}

static void child_status(server_rec *server, pid_t pid, ap_generation_t generation, int slot, mpm_child_status state) {
  (void)server, (void)generation, (void)slot;
  if (state == MPM_CHILD_EXITED) wsgi_swift_httpd_child_ended(pid);
}

void wsgi_httpd_register_daemons(void) {
  /* After the scoreboard has been made, which the core does first. */
  ap_hook_pre_mpm(pre_mpm, NULL, NULL, APR_HOOK_REALLY_LAST);
  ap_hook_monitor(wsgi_swift_monitor, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}
