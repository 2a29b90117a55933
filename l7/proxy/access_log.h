/*
 * One line a request, in JSON or by a format of the operator's. Lines are
 * gathered and written with one call when the loop has time or 32 KiB have come together.
 */
#ifndef SLU_L7_ACCESS_LOG_H
#define SLU_L7_ACCESS_LOG_H

#include <stdbool.h>

#include "l7/proxy/exchange.h"

struct slu_access_log;

/*
 * Opens (appends to) `path`. `format` is NULL for JSON, or text with {client} {method} {host} {path} {status}
 * {bytes_in} {bytes_out} {time_ms} {server} {listener} {refusal} {time} in it. Returns 0 or -errno.
 */
int slu_access_log_open(struct slu_access_log **log, struct event_base *base, const char *path, const char *format);
/* The file anew, after it was moved away. */
void slu_access_log_reopen(struct slu_access_log *log);
void slu_access_log_close(struct slu_access_log *log);

void slu_access_log_write(struct slu_access_log *log, const struct slu_exchange *exchange, bool broken);

#endif
