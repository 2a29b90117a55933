/*
 * Sessions that inside hosts open, and those towards an inside host's public
 * address: SNAT and EIP. What is asked here has no session and no listener.
 *
 * A packet goes out if its source is of a SNAT's prefixes or an EIP's private
 * address, and its destination neither the node nor inside as well. The longest
 * prefix rules, and an EIP is longer than any. An EIP's public address is open in
 * the other direction too; the source of who calls it from inside is translated
 * as if he called somebody outside (hairpinning, RFC 4787, REQ-9).
 *
 * ICMP echo has a session too. Its identifier stands where the requester's port
 * would, SLU_ECHO_PORT where the other's would.
 */
#ifndef SLU_HOST_OUTBOUND_H
#define SLU_HOST_OUTBOUND_H

#include "host/dataplane/worker.h"

/*
 * A packet without a session: plain, a fragment, or an echo. address: the index's entry of its destination, or NULL.
 * Takes it and returns true if it concerns an outbound service; false leaves it alone.
 */
bool slu_outbound_take(struct slu_worker *w, struct slu_packet *p, const struct slu_address_entry *address);

/*
 * The worker of a session that another node tells of, by its keys, if an outbound service lends it an address and the
 * worker does not depend on where replies enter. Returns false if not. Any thread that keeps the generation.
 */
bool slu_outbound_worker_of(const struct slu_dataplane *dp, const struct slu_listener_index *index,
	const struct slu_session_key *request, const struct slu_session_key *reply, uint32_t *worker);

#endif
