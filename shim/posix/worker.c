#include "CPosix.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int caught[] = {SIGTERM, SIGINT, SIGUSR1, SIGXCPU, SIGHUP, SIGUSR2};
static const int untimely[] = {SIGUSR1, SIGHUP, SIGUSR2};
#define COUNT(list) (sizeof list / sizeof list[0])

/* A signal with no other use.  The last of all is valgrind's. */
#define INTERRUPTION (SIGRTMAX - 1)

static volatile sig_atomic_t write_end = -1;
static volatile sig_atomic_t stacks_end = -1;
static pid_t owner;

static void pass_on(int number) {
  int saved = errno;
  if (getpid() == owner) {
    unsigned char byte = (unsigned char)number;
    ssize_t ignored = write(number == SIGQUIT ? stacks_end : write_end, &byte, 1);
    (void)ignored;
  } else {
    /* A fork that no atfork handler saw. */
    signal(number, SIG_DFL);
    raise(number);
  }
  errno = saved;
}

static void pass_over(int number) { (void)number; }

static void forget_in_child(void) {
  for (size_t i = 0; i < COUNT(caught); i++) signal(caught[i], SIG_DFL);
  signal(SIGQUIT, SIG_DFL);
}

static int32_t handle(const int *numbers, size_t count, void (*handler)(int)) {
  struct sigaction action = {.sa_flags = SA_RESTART, .sa_handler = handler};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < count; i++)
    if (sigaction(numbers[i], &action, NULL) != 0) return -errno;
  return 0;
}

/* Once a process, whichever signals are caught first. */
static int32_t own_signals(void) {
  if (owner == getpid()) return 0;
  owner = getpid();
  return -pthread_atfork(NULL, NULL, forget_in_child);
}

int32_t wsgi_posix_catch_early_signals(int32_t descriptor) {
  static const int quit = SIGQUIT;
  stacks_end = descriptor;
  int32_t result = own_signals();
  if (result == 0) result = handle(&quit, 1, pass_on);
  /* Not SIG_IGN, which programs that the application starts would inherit. */
  return result == 0 ? handle(untimely, COUNT(untimely), pass_over) : result;
}

int32_t wsgi_posix_catch_signals(int32_t descriptor) {
  static const int pipe = SIGPIPE;
  write_end = descriptor;
  int32_t result = own_signals();
  if (result == 0) result = handle(caught, COUNT(caught), pass_on);
  return result == 0 ? handle(&pipe, 1, SIG_IGN) : result;
}

int64_t wsgi_posix_waits(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

void wsgi_posix_limit_arenas(void) {
  const char *tunables = getenv("GLIBC_TUNABLES");
  if (getenv("MALLOC_ARENA_MAX") != NULL || (tunables != NULL && strstr(tunables, "arena_max") != NULL)) return;
  cpu_set_t processors;
  int count = sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 0;
  if (count > 0) mallopt(M_ARENA_MAX, count < 2 ? 2 : count);
}

int32_t wsgi_posix_thread_id(void) { return (int32_t)syscall(SYS_gettid); }

ssize_t wsgi_posix_copy_own_memory(void *buffer, uintptr_t address, size_t length) {
  struct iovec copy = {.iov_base = buffer, .iov_len = length};
  struct iovec original = {.iov_base = (void *)address, .iov_len = length};
  ssize_t count = process_vm_readv(getpid(), &copy, 1, &original, 1, 0);
  return count < 0 ? -errno : count;
}

void wsgi_posix_accept_interruptions(void) {
  struct sigaction action = {.sa_handler = pass_over};
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
