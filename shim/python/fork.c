#include "CPython.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int wsgi_py_forked;

static bool forgets_handlers;
static const int of_a_server[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

/* In the child of a fork, before it goes on. */
static void mark_child(void) {
  wsgi_py_forked = 1;
  wsgi_py_keep_one_interpreter();
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

/* Between two processes that have gone their ways: the orphan waits here until its parent has been reaped. */
static void await_reaping(const int *gate) {
  char byte;
  close(gate[1]);
  while (read(gate[0], &byte, 1) < 0 && errno == EINTR) {
  }
  close(gate[0]);
}

int32_t wsgi_py_fork_orphan(int32_t (*begin)(void *), void *context) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return -errno;
  PyOS_BeforeFork();
  /* What C code has not written yet would be written once more by each process. */
  fflush(NULL);
  pid_t middle = fork();
  if (middle == 0) {
    pid_t orphan = fork();
    if (orphan != 0) _exit(orphan < 0);
    await_reaping(gate);
    if (begin(context) != 0) _exit(1);
    wsgi_py_forked = 0;
    PyOS_AfterFork_Child();
    return 0;
  }
  int failure = middle < 0 ? errno : 0;
  int status = 0;
  close(gate[0]);
  /* Where the application has SIGCHLD ignored there is no status, but the call still returns when the process has ended. */
  while (middle > 0 && waitpid(middle, &status, 0) < 0 && errno == EINTR) {
  }
  close(gate[1]);
  PyOS_AfterFork_Parent();
  if (failure != 0) return -failure;
  return status == 0 ? 1 : -EAGAIN;
}
