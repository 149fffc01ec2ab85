/* httpd's scoreboard, which every process of the server may write to: what is read from it is copied and bounded. */
#include "private.h"

#include <ap_mpm.h>
#include <scoreboard.h>
#include <string.h>

static char status_letter(unsigned char status) {
  switch (status) {
    case SERVER_DEAD: return '.';
    case SERVER_READY: return '_';
    case SERVER_STARTING: return 'S';
    case SERVER_BUSY_READ: return 'R';
    case SERVER_BUSY_WRITE: return 'W';
    case SERVER_BUSY_KEEPALIVE: return 'K';
    case SERVER_BUSY_LOG: return 'L';
    case SERVER_BUSY_DNS: return 'D';
    case SERVER_CLOSING: return 'C';
    case SERVER_GRACEFUL: return 'G';
    case SERVER_IDLE_KILL: return 'I';
    default: return '?';
  }
}

static void copy_text(char *target, size_t capacity, const char *source, size_t limit) {
  size_t length = strnlen(source, limit < capacity ? limit : capacity - 1);
  memcpy(target, source, length);
  target[length] = '\0';
}

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
  slot->status = status_letter(score.status);
  slot->generation = score.generation;
  slot->access_count = score.access_count;
  slot->bytes_served = score.bytes_served;
  slot->start_time = score.start_time;
  slot->stop_time = score.stop_time;
  slot->last_used = score.last_used;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 83)
  copy_text(slot->client, sizeof slot->client, score.client64, sizeof score.client64);
#else
  copy_text(slot->client, sizeof slot->client, score.client, sizeof score.client);
#endif
  copy_text(slot->request, sizeof slot->request, score.request, sizeof score.request);
  copy_text(slot->vhost, sizeof slot->vhost, score.vhost, sizeof score.vhost);
}
