/*
 * The session table of one worker, in a part of a mapped file.
 *
 * Buckets are one cache line of ten {tag, entry}; each direction of a session is
 * an entry of its own. A key has a primary bucket and one alternative that
 * depends on bucket and tag only, so an entry moves without its key; the
 * alternative is read only if some entry overflowed into it.
 *
 * A session exists exactly when both of its entries do. They are stored reply
 * first, so the store of the request's entry publishes it, and removed in the
 * order request, reply: after a crash at any point the scan of
 * slu_session_table_recover() finds either a whole session or drops it. One that
 * has yielded its request's tuple to another (SLU_SYNC_YIELDED) has the reply's
 * entry alone.
 *
 * One writer, the worker. Other threads may read sessions through generation.
 */
#ifndef SLU_HOST_SESSION_TABLE_H
#define SLU_HOST_SESSION_TABLE_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/dataplane/session.h"

#define SLU_BUCKET_ENTRIES 10

struct slu_bucket {
	uint16_t tag[SLU_BUCKET_ENTRIES];
	uint16_t overflow; /* entries whose primary bucket this is and that live in their alternative */
	uint16_t reserved;
	uint32_t entry[SLU_BUCKET_ENTRIES]; /* 0: free */
};
static_assert(sizeof(struct slu_bucket) == 64, "one cache line");

/* An entry, and without direction and secondary bit a session id within the worker ("sid"). Index 0 is never used. */
#define SLU_ENTRY_REPLY 0x80000000u
#define SLU_ENTRY_IPV6 0x40000000u
#define SLU_ENTRY_SECONDARY 0x20000000u
#define SLU_ENTRY_INDEX 0x1FFFFFFFu
#define SLU_SID(entry) ((entry) & (SLU_ENTRY_IPV6 | SLU_ENTRY_INDEX))

struct slu_session6 {
	struct slu_session_hot hot;
	struct slu_session_addresses addresses;
};

struct slu_session_table {
	struct slu_bucket *buckets;
	struct slu_session_hot *hot4;
	struct slu_session_cold *cold4;
	struct slu_session6 *session6;
	struct slu_session_cold *cold6;
	uint32_t bucket_count;
	uint32_t capacity; /* sessions, both families together */
	uint64_t keys[4];
	uint32_t *free_list[2]; /* by family: IPv4, IPv6 */
	uint32_t free_count[2];
	uint32_t used[2]; /* indexes 1..used have been handed out; read by other threads */
	uint32_t count;   /* sessions; read by other threads */
};

/* A key: the tuple as the packet shows it. address points to src and dst (32 bytes) of IPv6, NULL for IPv4. */
struct slu_session_key {
	uint64_t addresses; /* IPv4 src | dst << 32 in memory order; 0 for IPv6 */
	uint64_t rest;      /* sport, dport as in memory | proto_vpc << 32 */
	const uint8_t *address6;
};

static inline uint64_t slu_session_table_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Keyed with the table's random keys, so nobody outside can aim at a bucket. */
static inline uint64_t slu_session_table_hash(const struct slu_session_table *t, const struct slu_session_key *key)
{
	uint64_t h = key->addresses;

	if (key->address6) {
		uint64_t w[4];

		memcpy(w, key->address6, sizeof(w));
		h = slu_session_table_mix(w[0] ^ t->keys[2], w[1] ^ t->keys[3]);
		h ^= slu_session_table_mix(w[2] ^ t->keys[3] ^ 0x9E3779B97F4A7C15u, w[3] ^ t->keys[2]);
	}
	h = slu_session_table_mix(h ^ t->keys[0], key->rest ^ t->keys[1]);
	return slu_session_table_mix(h ^ t->keys[2], t->keys[3]);
}

static inline uint32_t slu_session_table_bucket(const struct slu_session_table *t, uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * t->bucket_count) >> 32);
}

static inline void slu_session_table_prefetch(const struct slu_session_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->buckets[slu_session_table_bucket(t, hash)]);
}

static inline uint32_t slu_session_table_alternative(const struct slu_session_table *t, uint32_t bucket, uint16_t tag)
{
	uint32_t sum = (uint32_t)(((uint64_t)((tag + 1u) * 0x9E3779B1u) * t->bucket_count) >> 32);

	return sum >= bucket ? sum - bucket : sum + t->bucket_count - bucket;
}

/* Bit i: tag i equals. Free entries may match. */
static inline uint32_t slu_session_table_match(const struct slu_bucket *bucket, uint16_t tag)
{
	__m128i wanted = _mm_set1_epi16((short)tag);
	__m128i low = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)bucket->tag), wanted);
	__m128i high = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)(bucket->tag + 2)), wanted);
	uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));

	return (mask & 0xFF) | (mask >> 8 << 2);
}

static inline struct slu_session_hot *slu_session_table_hot(const struct slu_session_table *t, uint32_t sid)
{
	uint32_t index = sid & SLU_ENTRY_INDEX;

	return sid & SLU_ENTRY_IPV6 ? &t->session6[index].hot : &t->hot4[index];
}

static inline struct slu_session_cold *slu_session_table_cold(const struct slu_session_table *t, uint32_t sid)
{
	uint32_t index = sid & SLU_ENTRY_INDEX;

	return sid & SLU_ENTRY_IPV6 ? &t->cold6[index] : &t->cold4[index];
}

/* Of a session of IPv6. */
static inline const struct slu_session_addresses *slu_session_addresses_of(const struct slu_session_hot *hot)
{
	return &((const struct slu_session6 *)hot)->addresses;
}

static inline struct slu_session_addresses *slu_session_table_addresses(const struct slu_session_table *t, uint32_t sid)
{
	return &t->session6[sid & SLU_ENTRY_INDEX].addresses;
}

/*
 * First entry of the primary bucket whose tag fits, or 0; a candidate for slu_session_table_is(), and worth a prefetch.
 * Where there is none the alternative bucket is prefetched, if it can have it.
 */
static inline uint32_t slu_session_table_candidate(const struct slu_session_table *t, uint64_t hash)
{
	const struct slu_bucket *bucket = &t->buckets[slu_session_table_bucket(t, hash)];
	uint32_t mask = slu_session_table_match(bucket, (uint16_t)hash);

	for (; mask; mask &= mask - 1) {
		uint32_t entry = bucket->entry[__builtin_ctz(mask)];

		if (entry)
			return entry;
	}
	if (bucket->overflow)
		__builtin_prefetch(&t->buckets[slu_session_table_alternative(
			t, slu_session_table_bucket(t, hash), (uint16_t)hash)]);
	return 0;
}

static inline bool slu_session_table_equal32(const uint8_t *a, const uint8_t *b)
{
	__m128i low = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b));
	__m128i high =
		_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(a + 16)), _mm_loadu_si128((const __m128i *)(b + 16)));

	return _mm_movemask_epi8(_mm_and_si128(low, high)) == 0xFFFF;
}

/* Whether an entry's session, whose line is hot, has this key. */
static inline bool slu_session_table_is(
	const struct slu_session_hot *hot, uint32_t entry, const struct slu_session_key *key)
{
	const struct slu_tuple *tuple = &hot->tuple[entry >> 31];
	uint64_t addresses;
	uint32_t ports;

	memcpy(&addresses, tuple, 8);
	memcpy(&ports, &tuple->sport, 4);
	if ((addresses ^ key->addresses) | (((uint64_t)hot->proto_vpc << 32 | ports) ^ key->rest))
		return false;
	if (!key->address6)
		return !(entry & SLU_ENTRY_IPV6);
	if (!(entry & SLU_ENTRY_IPV6))
		return false;
	return slu_session_table_equal32(slu_session_addresses_of(hot)->address[entry >> 31], key->address6);
}

/* The entry of a key, or 0. */
uint32_t slu_session_table_find(const struct slu_session_table *t, uint64_t hash, const struct slu_session_key *key);

/* The key of one direction of a session; it points into the session. */
struct slu_session_key slu_session_table_key(const struct slu_session_table *t, uint32_t sid, unsigned int dir);

/* Bytes of file that a table of this capacity needs, a multiple of 2 MiB. */
size_t slu_session_table_bytes(uint32_t capacity);

/* Lays the table over zeroed or recovered memory. Returns 0 or -ENOMEM. */
int slu_session_table_init(struct slu_session_table *t, void *memory, uint32_t capacity, const uint64_t keys[4]);

/*
 * Scans memory that another process filled: keeps whole sessions, drops the rest, rebuilds counts and free lists. Call
 * once, after init. Returns the number of sessions kept; *dropped those not. -ENOMEM leaves the table unusable.
 */
int64_t slu_session_table_recover(struct slu_session_table *t, uint32_t *dropped);

void slu_session_table_fini(struct slu_session_table *t);

/*
 * A free session, not yet published: zeroed but for its generation. The caller fills it and publishes or releases it.
 * Returns its sid, or 0 if the table is full.
 */
uint32_t slu_session_table_alloc(struct slu_session_table *t, bool ipv6);
void slu_session_table_release(struct slu_session_table *t, uint32_t sid);

/* Makes the session visible. Returns 0, or -ENOSPC (then it is still the caller's). */
int slu_session_table_publish(struct slu_session_table *t, uint32_t sid);

/* Gives up the request's entry: the session is found by its replies alone from now on. */
void slu_session_table_yield(struct slu_session_table *t, uint32_t sid);

/* Takes the request's entry again, which must be free. Returns 0 or -ENOSPC. */
int slu_session_table_reclaim(struct slu_session_table *t, uint32_t sid);

/* Unpublishes and releases. */
void slu_session_table_remove(struct slu_session_table *t, uint32_t sid);

/* The next session in use after *sid (0 at first), in index order, IPv4 first; false at the end. Any thread; may be
 * racy. */
bool slu_session_table_next(const struct slu_session_table *t, uint32_t *sid);

#endif
