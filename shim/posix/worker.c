#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int caught[] = {SIGTERM, SIGINT, SIGUSR1, SIGXCPU, SIGHUP, SIGUSR2};
enum { CAUGHT = sizeof caught / sizeof caught[0] };

/* A signal that nobody else means anything by.  The last of all is valgrind's. */
#define INTERRUPTION (SIGRTMAX - 1)

static volatile sig_atomic_t write_end = -1;
static pid_t owner;

static void pass_on(int number) {
  int saved = errno;
  if (getpid() == owner) {
    unsigned char byte = (unsigned char)number;
    ssize_t ignored = write(write_end, &byte, 1);
    (void)ignored;
  } else {
    /* A fork that no atfork handler saw. */
    signal(number, SIG_DFL);
    raise(number);
  }
  errno = saved;
}

static void forget_in_child(void) {
  for (int i = 0; i < CAUGHT; i++) signal(caught[i], SIG_DFL);
}

int32_t wsgi_posix_catch_signals(int32_t descriptor) {
  owner = getpid();
  write_end = descriptor;
  int failure = pthread_atfork(NULL, NULL, forget_in_child);
  if (failure) return -failure;
  struct sigaction action = {.sa_flags = SA_RESTART};
  action.sa_handler = pass_on;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < CAUGHT; i++)
    if (sigaction(caught[i], &action, NULL) != 0) return -errno;
  action.sa_handler = SIG_IGN;
  return sigaction(SIGPIPE, &action, NULL) == 0 ? 0 : -errno;
}

int64_t wsgi_posix_waits(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

void wsgi_posix_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

static void interrupt_call(int number) { (void)number; }

void wsgi_posix_accept_interruptions(void) {
  struct sigaction action = {.sa_handler = interrupt_call};
  sigemptyset(&action.sa_mask);
  sigaction(INTERRUPTION, &action, NULL);
}

void wsgi_posix_interrupt(pthread_t thread) { pthread_kill(thread, INTERRUPTION); }

void wsgi_posix_wait(const uint32_t *word, uint32_t expected, int64_t milliseconds) {
  struct timespec limit = {.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, milliseconds < 0 ? NULL : &limit, NULL, 0);
}

void wsgi_posix_wake(const uint32_t *word, int32_t count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
