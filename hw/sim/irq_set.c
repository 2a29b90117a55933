#include "irq_set.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nic_model.h"

_Static_assert(SLU_IRQ_SET_VECTORS == SLU_NIC_MODEL_VECTORS, "vectors");

void slu_irq_set_init(struct slu_irq_set *s)
{
	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < SLU_IRQ_SET_VECTORS; i++)
		s->fds[i] = -1;
}

bool slu_irq_set_takes(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], target[sizeof(want)];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == (ssize_t)sizeof(want) - 1 && !memcmp(target, want, sizeof(want) - 1);
}

void slu_irq_set_assign(struct slu_irq_set *s, uint32_t vector, int fd)
{
	if (s->fds[vector] >= 0)
		close(s->fds[vector]);
	s->fds[vector] = fd;
}

void slu_irq_set_clear(struct slu_irq_set *s)
{
	for (uint32_t i = 0; i < SLU_IRQ_SET_VECTORS; i++)
		slu_irq_set_assign(s, i, -1);
}

void slu_irq_set_signal(struct slu_irq_set *s, uint32_t vector)
{
	struct pollfd p = {.events = POLLOUT};
	uint64_t one = 1;

	if (vector >= SLU_IRQ_SET_VECTORS || s->fds[vector] < 0)
		return;
	/* A counter at its maximum would block the write, and the server with it. */
	p.fd = s->fds[vector];
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && write(p.fd, &one, sizeof(one)) == sizeof(one))
		s->signalled++;
	else
		s->lost++;
}
