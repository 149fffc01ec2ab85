#include "CPython.h"
#include <pthread.h>
#include <signal.h>

int wsgi_py_forked;

static bool forgets_handlers;
static const int of_a_server[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

/* In the child of a fork, before it goes on. */
static void mark_child(void) {
  wsgi_py_forked = 1;
  if (!forgets_handlers) return;
  sigset_t signals;
  sigemptyset(&signals);
  for (size_t i = 0; i < sizeof of_a_server / sizeof of_a_server[0]; i++) {
    struct sigaction held;
    if (sigaction(of_a_server[i], NULL, &held) == 0 && held.sa_handler != SIG_IGN) signal(of_a_server[i], SIG_DFL);
    sigaddset(&signals, of_a_server[i]);
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

bool wsgi_py_watch_forks(bool forgets) {
  forgets_handlers = forgets;
  return pthread_atfork(NULL, NULL, mark_child) == 0;
}
