/*
 * A client of HTTP/1.1 over a UNIX socket, for one request at a time.
 */
#ifndef SLU_SLUICECTL_HTTP_H
#define SLU_SLUICECTL_HTTP_H

#include <stddef.h>

struct slu_http_answer {
	int status;
	char *body; /* a NUL follows; freed by the caller */
	size_t bytes;
};

/*
 * Connects, sends, and reads the whole answer.
 *
 * Returns 0; -errno if the socket cannot be reached; -EPROTO if what comes back
 * is no HTTP, or ends too early; -ETIMEDOUT when nothing comes for 60 s.
 * answer->body is NULL then. `connected` tells whether the socket was reached.
 */
int slu_http_call(const char *socket_path, const char *method, const char *target, const void *body, size_t bytes,
	struct slu_http_answer *answer, int *connected);

#endif
