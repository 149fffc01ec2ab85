#include "CPosix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors that are moved out of the way of the fixed numbers start here. */
enum { aside = 64 };

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

void wsgi_posix_default_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  for (int number = 1; number < NSIG; number++) {
    sigaction(number, &action, NULL); /* SIGKILL, SIGSTOP and libc's own refuse; they are as they should be */
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_all(const int32_t *descriptors, size_t count) {
  for (size_t i = 0; i < count; i++) close(descriptors[i]);
}

/* The child's half of a launch.  Only async-signal-safe calls. */
static _Noreturn void become(const char *path, char *const *argv, char *const *envp, const int32_t *descriptors,
                             int report, int gate) {
  int moved[WSGI_POSIX_LAST_DESCRIPTOR + 1];
  int error_report = fcntl(report, F_DUPFD_CLOEXEC, aside);
  if (error_report < 0) goto failed;
  gate = fcntl(gate, F_DUPFD_CLOEXEC, aside);
  if (gate < 0) goto failed;
  for (int i = 0; i <= WSGI_POSIX_LAST_DESCRIPTOR; i++) {
    moved[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, aside);
    if (moved[i] < 0) goto failed;
  }
  for (int i = 0; i <= WSGI_POSIX_LAST_DESCRIPTOR; i++) {
    if (dup2(moved[i], i) < 0) goto failed;
  }
  /* What a caller left inheritable stays here all the same.  Where the kernel does not know the call, the launched
   * program closes them. */
  syscall(SYS_close_range, WSGI_POSIX_LAST_DESCRIPTOR + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  /* Out of reach of what the caller's terminal and session are good for. */
  setsid();
  wsgi_posix_default_signals();
  char byte;
  while (read(gate, &byte, 1) < 0 && errno == EINTR) {
  }
  execve(path, argv, envp);
failed:;
  int reason = errno;
  ssize_t written = write(error_report >= 0 ? error_report : report, &reason, sizeof reason);
  _exit(written > 0 ? 127 : 126);
}

int32_t wsgi_posix_launch(const char *path, char *const *argv, char *const *envp, const int32_t *descriptors,
                          const int32_t *given, size_t given_count) {
  int report[2] = {-1, -1}, gate[2];
  if (pipe2(report, O_CLOEXEC) != 0 || pipe2(gate, O_CLOEXEC) != 0) {
    int failure = errno;
    if (report[0] >= 0) close_all(report, 2);
    close_all(given, given_count);
    return -failure;
  }
  pid_t pid = fork();
  if (pid == 0) {
    close(gate[1]);
    become(path, argv, envp, descriptors, report[1], gate[0]);
  }
  int reason = errno;
  close_all(given, given_count);
  /* A byte rather than the end: another thread's child may hold this end too. */
  ssize_t opened = write(gate[1], "", 1);
  (void)opened;
  close_all(gate, 2);
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    return -reason;
  }
  ssize_t count;
  do {
    count = read(report[0], &reason, sizeof reason);
  } while (count < 0 && errno == EINTR);
  close(report[0]);
  if (count == 0) return pid; /* exec closed the other end */
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return count == sizeof reason ? -reason : -EIO;
}

int32_t wsgi_posix_fork(void) {
  pid_t pid = fork();
  return pid < 0 ? -errno : pid;
}

static int32_t ended(idtype_t type, pid_t pid) {
  siginfo_t info = {.si_pid = 0};
  int result;
  do {
    result = waitid(type, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : info.si_pid;
}

int32_t wsgi_posix_has_ended(pid_t pid) {
  int32_t found = ended(P_PID, pid);
  return found < 0 ? found : found == pid;
}

int32_t wsgi_posix_any_ended(void) { return ended(P_ALL, 0); }

int32_t wsgi_posix_reap(pid_t pid, wsgi_posix_end *end) {
  int status;
  struct rusage usage;
  pid_t result;
  do {
    result = wait4(pid, &status, WNOHANG, &usage);
  } while (result < 0 && errno == EINTR);
  if (result <= 0) return result < 0 ? -errno : 0;
  end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  end->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  end->core = WIFSIGNALED(status) && WCOREDUMP(status) ? 1 : 0;
  end->cpu_micros = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec
                    + usage.ru_stime.tv_usec;
  return 1;
}

int32_t wsgi_posix_pidfd(pid_t pid) {
  int32_t descriptor = (int32_t)syscall(SYS_pidfd_open, pid, 0);
  return descriptor < 0 ? -errno : descriptor;
}

int32_t wsgi_posix_pidfd_signal(int32_t pidfd, int32_t signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : -errno;
}

/* The two ends are open files of their own: what is set for one does not hold for the other. */
static int32_t make_pipe(int32_t *ends, int flags, int writer_flags) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC | flags) != 0) return -errno;
  if (fcntl(pair[0], F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(pair[1], F_SETFL, flags | writer_flags) != 0) {
    int32_t failure = -errno;
    close_all(pair, 2);
    return failure;
  }
  ends[0] = pair[0];
  ends[1] = pair[1];
  return 0;
}

int32_t wsgi_posix_output_pipe(int32_t *ends) { return make_pipe(ends, 0, 0); }

int32_t wsgi_posix_report_pipe(int32_t *ends) { return make_pipe(ends, O_DIRECT, O_NONBLOCK); }

int32_t wsgi_posix_waiting(int32_t socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : -errno;
}
