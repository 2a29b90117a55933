/*
 * The client's address for backends that see a local one (docs/client-address.md):
 * TOA, an option in the packets that open a connection, or a PROXY header of our
 * own before the client's data.
 *
 * A session whose listener asks for it is *opening* until the backend is known to
 * have the address. Only then does it leave the slow path, and the card may have
 * it. The header does not shift the stream: the SYN goes out with a sequence number
 * that is lower by the header's length, so that behind the header everything
 * has the numbers that the client gave it. What is left of an opening when it is over
 * is nothing, and another node goes on with a plain session.
 *
 * For the session's worker only.
 */
#ifndef SLU_HOST_CLIENT_ADDRESS_H
#define SLU_HOST_CLIENT_ADDRESS_H

#include "host/dataplane/worker.h"
#include "lib/proxy_v2.h"
#include "lib/tcp_options.h"

/* What is done to one packet. Nothing in it refers to the packet. */
struct slu_client_address_edit {
	bool any;                       /* else the packet goes as it is */
	bool alone;                     /* first a copy goes that has the header instead of data */
	bool cut;                       /* its data goes */
	bool ends;                      /* the backend has the address: the session is plain from now on */
	uint8_t flags;                  /* of TCP, to be set besides */
	uint32_t sequence, acknowledge; /* added */
	uint16_t window;                /* taken off */
	struct slu_tcp_options options;
	bool has_options; /* they replace those of the packet */
	uint8_t header_bytes;
	uint8_t header[SLU_PROXY_V2_BYTES_MAX]; /* before the data */
};

/* A new session of a listener that tells the client's address. */
void slu_client_address_open(struct slu_worker *w, uint32_t sid, const struct slu_listener *listener);

/* Whether a packet of this kind needs slu_client_address_plan(). */
static inline bool slu_client_address_concerns(
	const struct slu_session_hot *hot, unsigned int dir, const struct slu_packet *p)
{
	if (hot->nexthop_epoch == SLU_EPOCH_OPENING)
		return true;
	return dir == SLU_DIR_REQUEST && p->kind != SLU_PACKET_LATER_FRAGMENT && p->protocol == SLU_PROTO_TCP &&
	       (p->tcp_flags & (SLU_TCP_SYN | SLU_TCP_ACK)) == SLU_TCP_SYN;
}

/*
 * Decides what to do to a packet that is to leave by hop. Returns false if it was taken: dropped and counted, or
 * answered because it is too long with what is to be added.
 */
bool slu_client_address_plan(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir,
	const struct slu_nexthop *hop, struct slu_client_address_edit *edit);

/*
 * Changes the packet: lengths, and checksums by what changed, so that a wrong one stays wrong. Returns false if there
 * is no memory for it; then the packet is as it was.
 */
bool slu_client_address_apply(struct slu_packet *p, const struct slu_client_address_edit *edit);

/*
 * Makes a packet of its own of the header, for an edit that says `alone`; the packet itself then needs no change.
 * Returns false if there is no memory for it.
 */
bool slu_client_address_split(
	const struct slu_packet *p, struct slu_client_address_edit *edit, struct slu_packet *alone);

/* The packet was sent: counts, and ends the opening if it is time. */
void slu_client_address_sent(
	struct slu_worker *w, uint32_t sid, const struct slu_packet *p, const struct slu_client_address_edit *edit);

/* A TCP header that an ICMP error from the backend's side quotes: gives it the client's sequence number again. */
void slu_client_address_restore(const struct slu_session_table *t, uint32_t sid, uint8_t *tcp);

#endif
