#include "host/dataplane/local_port.h"

#include <rte_thash.h>

#include "host/dataplane/sync.h"

#define TRIES_MAX 512

static uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

/* The worker that the port's receive side scaling gives a packet to. */
static uint32_t rss_worker(const struct slu_rss *rss, const struct slu_session_key *key)
{
	uint32_t words[9], hash = 0;
	unsigned int count = 0;
	uint8_t raw[36];

	if (key->address6) {
		memcpy(raw, key->address6, 32);
		count = 8;
	} else {
		memcpy(raw, &key->addresses, 8);
		count = 2;
	}
	if (rss->ports) {
		memcpy(raw + count * 4, &key->rest, 4);
		count++;
	}
	for (unsigned int i = 0; i < count; i++)
		words[i] = __builtin_bswap32(slu_packet_load32(raw + i * 4));
	hash = rte_softrss(words, count, rss->key);
	return rss->worker_of_queue[rss->reta[hash % rss->reta_size] & 0xFF];
}

bool slu_local_port_has_rss(const struct slu_dataplane *dp, uint16_t port)
{
	return port < SLU_PORTS_MAX && dp->rss[port].valid;
}

uint32_t slu_local_port_owner(const struct slu_dataplane *dp, uint16_t in_port, const struct slu_session_key *reply)
{
	if (slu_local_port_has_rss(dp, in_port))
		return rss_worker(&dp->rss[in_port], reply) % dp->workers;
	return be16((uint16_t)(reply->rest >> 16)) % dp->workers;
}

/* Stores a candidate and says whether it is free and comes back to this worker. */
static bool try_candidate(
	struct slu_worker *w, uint32_t sid, const struct slu_ip *local, uint16_t port, uint16_t in_port)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_key key;

	hot->tuple[SLU_DIR_REPLY].dport = be16(port);
	if (local->family == 4)
		memcpy(&hot->tuple[SLU_DIR_REPLY].dst, local->bytes, 4);
	else
		memcpy(slu_session_table_addresses(&w->table, sid)->address[SLU_DIR_REPLY] + 16, local->bytes, 16);
	key = slu_session_table_key(&w->table, sid, SLU_DIR_REPLY);
	if (w->dp->workers > 1 && slu_local_port_owner(w->dp, in_port, &key) != w->id)
		return false;
	return !slu_session_table_find(&w->table, slu_session_table_hash(&w->table, &key), &key);
}

/* The bucket that the next session of this backend will ask for, while there is time. */
static void prefetch_candidate(struct slu_worker *w, uint32_t sid, const struct slu_ip *local, uint16_t port)
{
	struct slu_session_key key = slu_session_table_key(&w->table, sid, SLU_DIR_REPLY);
	uint8_t address6[32];

	key.rest = (key.rest & ~(uint64_t)0xFFFF0000) | (uint64_t)be16(port) << 16;
	if (key.address6) {
		memcpy(address6, key.address6, 16);
		memcpy(address6 + 16, local->bytes, 16);
		key.address6 = address6;
	} else {
		key.addresses = (uint32_t)key.addresses | (uint64_t)slu_packet_load32(local->bytes) << 32;
	}
	slu_session_table_prefetch(&w->table, slu_session_table_hash(&w->table, &key));
}

/*
 * Walks {port, address} from where it stopped last time for this backend, so that a pair is used again as late as
 * possible (the backend may still be in TIME_WAIT) and the first try nearly always succeeds.
 */
int slu_local_port_choose(struct slu_worker *w, uint32_t sid, uint32_t backend_live, uint16_t in_port)
{
	unsigned int family = sid & SLU_ENTRY_IPV6 ? 1 : 0;
	uint32_t locals = w->index->local_count[family];
	uint32_t step = slu_local_port_has_rss(w->dp, in_port) ? 1 : w->dp->workers;
	uint32_t ports = (w->dp->port_last - w->dp->port_first + 1u) / step;
	uint32_t first = w->dp->port_first, *cursor = &w->port_cursor[backend_live % SLU_LIVE_MAX];

	if (!locals)
		return SLU_COUNT_DROP_NO_LOCAL_ADDRESS;
	if (step > 1)
		first += (w->id + step - first % step) % step;
	if (!*cursor)
		*cursor = (uint32_t)(slu_worker_random(w) % ports * locals) + 1;
	for (uint32_t i = 0; i < TRIES_MAX; i++) {
		uint32_t at = *cursor % (locals * ports), next = at + 1, port = first + at / locals * step;

		*cursor = next;
		if (port > w->dp->port_last || !slu_sync_is_home(w, &w->index->locals[family][at % locals]) ||
			!try_candidate(w, sid, &w->index->locals[family][at % locals], (uint16_t)port, in_port))
			continue;
		prefetch_candidate(
			w, sid, &w->index->locals[family][next % locals], (uint16_t)(first + next / locals * step));
		return 0;
	}
	return SLU_COUNT_DROP_NO_LOCAL_PORT;
}
