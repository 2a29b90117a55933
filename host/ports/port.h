/*
 * An ethdev port of any driver: found or created from the configuration,
 * configured for the agent's workers, started, watched.
 */
#ifndef SLU_HOST_PORT_H
#define SLU_HOST_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/config/config.h"
#include "host/dataplane/dataplane.h"
#include "host/ports/tap.h"

struct rte_mempool;

/* Counted by the worker or the control thread that is named; read by anybody. */
struct slu_port_counters {
	_Atomic uint64_t tx_dropped;          /* workers: the transmit queue stayed full */
	_Atomic uint64_t tx_gone;             /* workers: the port is gone */
	_Atomic uint64_t other_mac;           /* workers: unicast to another station, dropped */
	_Atomic uint64_t to_kernel;           /* control: frames given to the kernel */
	_Atomic uint64_t to_kernel_dropped;   /* workers: ring full; control: the kernel refused */
	_Atomic uint64_t from_kernel;         /* control: frames taken from the kernel */
	_Atomic uint64_t from_kernel_dropped; /* control: no buffer, ring full, or longer than the MTU allows */
};

struct slu_port {
	const struct slu_config_port *config; /* lives as long as the agent */
	uint16_t id;                          /* of the ethdev */
	uint16_t rx_queues, tx_queues;
	uint16_t mtu;
	uint8_t mac[6];
	bool started;
	bool interrupts;   /* RX queues can wake a sleeper */
	bool promiscuous;  /* frames for other stations arrive too */
	_Atomic bool gone; /* the device said that it is lost */
	struct slu_tap tap;
	struct slu_port_counters counters;
};

/*
 * Probes the device of `config` unless an earlier port did, and picks its
 * ethdev number config->index. A net_sluice card is attached warm unless its
 * arguments say otherwise: what nobody adopts is removed later.
 *
 * Main thread, after slu_eal_start(). Returns 0 or -errno after logging why.
 */
int slu_port_probe(struct slu_port *port, const struct slu_config_port *config);

/* Buffers that all ports and workers together can hold at once. */
uint32_t slu_port_buffers(const struct slu_port *ports, uint32_t count, uint32_t workers);

/*
 * Sets up queues and events. One transmit queue a worker; receive queue q
 * belongs to worker q modulo workers. Returns 0 or -errno after logging why.
 */
int slu_port_configure(struct slu_port *port, uint32_t workers, struct rte_mempool *pool);

/* Starts the port, opens its filters, finds out about interrupts. Returns 0 or -errno after logging why. */
int slu_port_start(struct slu_port *port);
void slu_port_stop(struct slu_port *port);

/* Throws away what has arrived so far, a whole ring of each queue at most. Before there are workers. */
void slu_port_discard(struct slu_port *port);

/* Fills *rss from the device; valid stays false where hash or table cannot be read. */
void slu_port_read_rss(const struct slu_port *port, uint32_t workers, struct slu_rss *rss);

/* True if two processes can have the device at once, each with all of its frames (AF_PACKET). */
bool slu_port_is_shareable(const struct slu_config_port *config);

/* True for a card of ours. */
bool slu_port_is_sluice(const struct slu_port *port);

#endif
