/* What the sanitizers' runtimes ask of a program that `make sanitize` builds. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);
