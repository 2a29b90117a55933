#include "host/dataplane/outbound_port.h"

#include "host/dataplane/local_port.h"

#define TRIES_MAX 512 /* of one address */

static bool is_tcp(uint32_t proto_vpc)
{
	return (uint8_t)proto_vpc == SLU_PROTO_TCP;
}

uint32_t slu_outbound_port_owner(const struct slu_dataplane *dp, uint16_t in_port, const struct slu_session_key *reply)
{
	if (is_tcp((uint32_t)(reply->rest >> 32)))
		return slu_local_port_owner(dp, in_port, reply);
	return __builtin_bswap16((uint16_t)(reply->rest >> 16)) % dp->workers;
}

/* Keyed, so that nobody can tell the ports of others. */
static uint64_t hash_inside(const struct slu_session_table *t, const struct slu_session_key *request, bool with_port)
{
	uint64_t h = (uint32_t)request->addresses;

	if (request->address6)
		h = slu_session_table_mix(slu_packet_load64(request->address6) ^ t->keys[1],
			slu_packet_load64(request->address6 + 8) ^ t->keys[2]);
	if (with_port)
		h ^= request->rest << 48 | request->rest >> 32; /* source port, protocol and network */
	return slu_session_table_mix(h ^ t->keys[3], t->keys[0] ^ 0x9E3779B97F4A7C15u);
}

uint32_t slu_outbound_port_chooser(const struct slu_worker *w, const struct slu_session_key *request)
{
	return (uint32_t)(hash_inside(&w->table, request, true) >> 32) % w->dp->workers;
}

/* Stores a candidate and says whether it is free and comes back to this worker. */
static bool try_candidate(
	struct slu_worker *w, uint32_t sid, const struct slu_ip *address, uint16_t port, uint16_t in_port)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_key key;

	hot->tuple[SLU_DIR_REPLY].dport = __builtin_bswap16(port);
	if (address->family == 4)
		memcpy(&hot->tuple[SLU_DIR_REPLY].dst, address->bytes, 4);
	else
		memcpy(slu_session_table_addresses(&w->table, sid)->address[SLU_DIR_REPLY] + 16, address->bytes, 16);
	key = slu_session_table_key(&w->table, sid, SLU_DIR_REPLY);
	if (w->dp->workers > 1 && slu_outbound_port_owner(w->dp, in_port, &key) != w->id)
		return false;
	return !slu_session_table_find(&w->table, slu_session_table_hash(&w->table, &key), &key);
}

/* Where the search of a port begins. */
static uint64_t begin_of(struct slu_worker *w, uint32_t sid, const struct slu_session_key *request)
{
	struct slu_session_key remote;

	if (!is_tcp(slu_session_table_hot(&w->table, sid)->proto_vpc))
		return hash_inside(&w->table, request, true);
	remote = slu_session_table_key(&w->table, sid, SLU_DIR_REPLY);
	return (hash_inside(&w->table, request, false) ^ hash_inside(&w->table, &remote, true)) + w->outbound_turn++;
}

int slu_outbound_port_choose(struct slu_worker *w, uint32_t sid, const struct slu_outbound *snat, uint16_t in_port)
{
	struct slu_session_key request = slu_session_table_key(&w->table, sid, SLU_DIR_REQUEST);
	unsigned int family = sid & SLU_ENTRY_IPV6 ? 1 : 0;
	uint32_t addresses = snat->own_count[family], first = snat->port_first, step = w->dp->workers, ports;
	uint64_t home = hash_inside(&w->table, &request, false), begin;

	if (!addresses)
		return SLU_COUNT_DROP_NO_PUBLIC_ADDRESS;
	if (is_tcp((uint32_t)(request.rest >> 32)) && slu_local_port_has_rss(w->dp, in_port))
		step = 1;
	if (step > 1)
		first += (w->id + step - first % step) % step;
	if (first > snat->port_last)
		return SLU_COUNT_DROP_NO_PUBLIC_PORT;
	ports = (snat->port_last - first) / step + 1;
	begin = begin_of(w, sid, &request);
	for (uint32_t a = 0; a < addresses; a++) {
		const struct slu_ip *address = &snat->addresses[family][(home + a) % addresses];

		for (uint32_t i = 0; i < ports && i < TRIES_MAX; i++) {
			uint32_t port = first + (uint32_t)((begin + i) % ports) * step;

			if (try_candidate(w, sid, address, (uint16_t)port, in_port))
				return 0;
		}
	}
	return SLU_COUNT_DROP_NO_PUBLIC_PORT;
}
