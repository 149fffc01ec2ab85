/* What the engine's table points at, implemented in Swift (Sources/WSGIEngine).  The table itself is in table.c: Swift cannot
 * define a C variable. */
#ifndef WSGI_CENGINE_TABLE_H
#define WSGI_CENGINE_TABLE_H

#include "../engine.h"

int32_t wsgi_swift_engine_start(const wsgi_host *host, const uint8_t *settings, size_t length, char *error, size_t capacity);
int32_t wsgi_swift_engine_load(const uint8_t *group, size_t group_length, const uint8_t *script, size_t script_length,
                               uint32_t *failure);
int32_t wsgi_swift_engine_settle(void (*sink)(void *, const wsgi_log_record *), void *context);
int32_t wsgi_swift_engine_fork(int32_t (*begin)(void *context), void *context);
void wsgi_swift_engine_run(void *exchange, const wsgi_exchange *functions, const uint8_t *head, size_t head_length,
                           uint64_t ticket, uint32_t flags, wsgi_outcome *outcome);
int32_t wsgi_swift_engine_call(void *exchange, const wsgi_exchange *functions, const uint8_t *head, size_t head_length,
                               wsgi_call *call);
int32_t wsgi_swift_engine_interrupt(uint64_t ticket);
int32_t wsgi_swift_engine_stacks(uint64_t ticket, uint32_t milliseconds, void (*sink)(void *, const wsgi_log_record *),
                                 void *context);
void wsgi_swift_engine_probe(void);
void wsgi_swift_engine_signal(int32_t number);
void wsgi_swift_engine_stopping(const char *reason);
void wsgi_swift_engine_stop(void);
void wsgi_swift_engine_abandon(void);

#endif
