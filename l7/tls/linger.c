#include "l7/tls/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "l7/tls/engine.h"

#define PATIENCE_S 10

struct slu_linger {
	LIST_ENTRY(slu_linger) entry;
	struct event *writable;
	int fd;
	uint8_t *bytes;
	uint32_t begin, end;
};

static void give_up(struct slu_linger *linger)
{
	LIST_REMOVE(linger, entry);
	if (linger->writable != NULL)
		event_free(linger->writable);
	close(linger->fd);
	free(linger->bytes);
	free(linger);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct slu_linger *linger = context;
	ssize_t taken = 0;

	if (what & EV_WRITE)
		taken = send(fd, linger->bytes + linger->begin, linger->end - linger->begin, MSG_NOSIGNAL);
	if (taken > 0)
		linger->begin += (uint32_t)taken;
	else if (taken == 0 || errno != EAGAIN)
		linger->begin = linger->end;
	if (linger->begin == linger->end)
		give_up(linger);
}

void slu_linger_start(struct slu_engine *engine, int fd, uint8_t **bytes, uint32_t begin, uint32_t end)
{
	const struct timeval patience = {PATIENCE_S, 0};
	struct slu_linger *linger = calloc(1, sizeof(*linger));

	if (linger == NULL)
		return;
	*linger = (struct slu_linger){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .bytes = *bytes, .begin = begin, .end = end};
	if (linger->fd < 0) {
		free(linger);
		return;
	}
	*bytes = NULL;
	LIST_INSERT_HEAD(&engine->lingering, linger, entry);
	linger->writable = event_new(engine->base, linger->fd, EV_WRITE | EV_PERSIST, on_writable, linger);
	if (linger->writable == NULL || event_add(linger->writable, &patience) != 0)
		give_up(linger);
}

void slu_linger_end_all(struct slu_engine *engine)
{
	while (!LIST_EMPTY(&engine->lingering))
		give_up(LIST_FIRST(&engine->lingering));
}
