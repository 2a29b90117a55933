/*
 * An agent that takes the place of one that still serves: it starts what takes long beside it, then ends it and goes on
 * with its sessions. Of the same node on the same machine; who is to be replaced is whoever serves the API's socket.
 *
 * Control thread, before there are workers.
 */
#ifndef SLU_HOST_TAKEOVER_H
#define SLU_HOST_TAKEOVER_H

#include <sys/types.h>

struct slu_takeover {
	pid_t pid; /* 0: nobody serves */
	int fd;    /* of that process; -1: nobody */
};

/*
 * Finds the agent that serves the API's socket `path`. Returns 0, with pid 0 if nobody does; -errno after logging why.
 * slu_takeover_close() follows either way.
 */
int slu_takeover_find(struct slu_takeover *takeover, const char *path);

/*
 * Ends it as SIGTERM does, and returns when it has let the session file go, which it does last: before that it closed
 * its cards and TAPs. At once if there is nobody. Returns 0; -ETIMEDOUT if it does not let go; -errno. Logs why.
 */
int slu_takeover_end(const struct slu_takeover *takeover, const char *session_file);

void slu_takeover_close(struct slu_takeover *takeover);

#endif
