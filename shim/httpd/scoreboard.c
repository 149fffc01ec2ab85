/* httpd's scoreboard, which every process of the server may write to: what is read from it is copied and bounded. */
#include "private.h"

#include <ap_mpm.h>
#include <scoreboard.h>
#include <stdio.h>
#include <string.h>

static const char letters[SERVER_NUM_STATUS] = {
    [SERVER_DEAD] = '.', [SERVER_STARTING] = 'S', [SERVER_READY] = '_', [SERVER_BUSY_READ] = 'R', [SERVER_BUSY_WRITE] = 'W',
    [SERVER_BUSY_KEEPALIVE] = 'K', [SERVER_BUSY_LOG] = 'L', [SERVER_BUSY_DNS] = 'D', [SERVER_CLOSING] = 'C',
    [SERVER_GRACEFUL] = 'G', [SERVER_IDLE_KILL] = 'I',
};

/* The source need not end in a NUL byte. */
#define COPY(target, source) (void)snprintf(target, sizeof(target), "%.*s", (int)sizeof(source), source)

int32_t wsgi_httpd_get_scoreboard(wsgi_httpd_scoreboard *board) {
  int processes = 0, threads = 0;
  if (!ap_exists_scoreboard_image() || ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &processes) != APR_SUCCESS
      || ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &threads) != APR_SUCCESS)
    return 0;
  global_score *global = ap_get_scoreboard_global();
  if (!global) return 0;
  board->server_limit = processes;
  board->thread_limit = threads;
  board->generation = global->running_generation;
  board->restart_time = global->restart_time;
  return 1;
}

int32_t wsgi_httpd_get_process_slot(int32_t process, wsgi_httpd_process_slot *slot) {
  process_score *score = ap_get_scoreboard_process(process);
  if (!score) return 0;
  slot->pid = score->pid;
  slot->generation = score->generation;
  slot->is_quiescing = score->quiescing != 0;
  return 1;
}

void wsgi_httpd_get_worker_slot(int32_t process, int32_t thread, wsgi_httpd_worker_slot *slot) {
  worker_score score;
  memset(&score, 0, sizeof score);
  ap_copy_scoreboard_worker(&score, process, thread);
  slot->status = score.status < SERVER_NUM_STATUS ? letters[score.status] : '?';
  slot->generation = score.generation;
  slot->access_count = score.access_count;
  slot->bytes_served = score.bytes_served;
  slot->start_time = score.start_time;
  slot->stop_time = score.stop_time;
  slot->last_used = score.last_used;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 83)
  COPY(slot->client, score.client64);
#else
  COPY(slot->client, score.client);
#endif
  COPY(slot->request, score.request);
  COPY(slot->vhost, score.vhost);
}
