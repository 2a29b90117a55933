/*
 * Interrupt vectors and the eventfds that the host wants written for them.
 * One thread.
 */
#ifndef SLU_IRQ_SET_H
#define SLU_IRQ_SET_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_IRQ_SET_VECTORS 5u

struct slu_irq_set {
	int fds[SLU_IRQ_SET_VECTORS]; /* -1: none */
	uint64_t signalled;
	uint64_t lost; /* the host left its eventfd full */
};

void slu_irq_set_init(struct slu_irq_set *s);

/* Whether fd is an eventfd: writing to anything else could block, or do worse. */
bool slu_irq_set_takes(int fd);

/* Takes `fd` over for a vector; -1 takes the old one away. fd is an eventfd. */
void slu_irq_set_assign(struct slu_irq_set *s, uint32_t vector, int fd);
void slu_irq_set_clear(struct slu_irq_set *s);

/* Never blocks. A vector without an eventfd is silent, as a masked one. */
void slu_irq_set_signal(struct slu_irq_set *s, uint32_t vector);

#endif
