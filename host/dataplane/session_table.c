#include "host/dataplane/session_table.h"

#include <errno.h>
#include <stdlib.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define LOAD_PERCENT 65

static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static uint32_t buckets_for(uint32_t capacity)
{
	return (uint32_t)((uint64_t)capacity * 2 * 100 / LOAD_PERCENT / SLU_BUCKET_ENTRIES) + 8;
}

/* Where the parts of a table stand; index 0 of every array is unused. */
struct parts {
	size_t hot4, cold4, session6, cold6, end;
};

static struct parts lay_out(uint32_t capacity)
{
	size_t n = (size_t)capacity + 1;
	struct parts p;

	p.hot4 = round_up(buckets_for(capacity) * sizeof(struct slu_bucket), HUGE_PAGE);
	p.cold4 = p.hot4 + round_up(n * sizeof(struct slu_session_hot), HUGE_PAGE);
	p.session6 = p.cold4 + round_up(n * sizeof(struct slu_session_cold), HUGE_PAGE);
	p.cold6 = p.session6 + round_up(n * sizeof(struct slu_session6), HUGE_PAGE);
	p.end = p.cold6 + round_up(n * sizeof(struct slu_session_cold), HUGE_PAGE);
	return p;
}

size_t slu_session_table_bytes(uint32_t capacity)
{
	return lay_out(capacity).end;
}

int slu_session_table_init(struct slu_session_table *t, void *memory, uint32_t capacity, const uint64_t keys[4])
{
	struct parts p = lay_out(capacity);
	uint8_t *base = memory;

	*t = (struct slu_session_table){
		.buckets = (struct slu_bucket *)base,
		.hot4 = (struct slu_session_hot *)(base + p.hot4),
		.cold4 = (struct slu_session_cold *)(base + p.cold4),
		.session6 = (struct slu_session6 *)(base + p.session6),
		.cold6 = (struct slu_session_cold *)(base + p.cold6),
		.bucket_count = buckets_for(capacity),
		.capacity = capacity,
	};
	memcpy(t->keys, keys, sizeof(t->keys));
	for (int family = 0; family < 2; family++) {
		t->free_list[family] = calloc(capacity, sizeof(uint32_t));
		if (!t->free_list[family]) {
			slu_session_table_fini(t);
			return -ENOMEM;
		}
	}
	return 0;
}

void slu_session_table_fini(struct slu_session_table *t)
{
	free(t->free_list[0]);
	free(t->free_list[1]);
	t->free_list[0] = t->free_list[1] = NULL;
}

struct slu_session_key slu_session_table_key(const struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *tuple = &hot->tuple[dir];
	struct slu_session_key key = {0};
	uint32_t ports;

	memcpy(&ports, &tuple->sport, 4);
	key.rest = ports | (uint64_t)hot->proto_vpc << 32;
	if (sid & SLU_ENTRY_IPV6)
		key.address6 = slu_session_table_addresses(t, sid)->address[dir];
	else
		memcpy(&key.addresses, tuple, 8);
	return key;
}

static uint32_t find_in(
	const struct slu_session_table *t, uint32_t bucket, uint16_t tag, const struct slu_session_key *key)
{
	const struct slu_bucket *b = &t->buckets[bucket];

	for (uint32_t mask = slu_session_table_match(b, tag); mask; mask &= mask - 1) {
		uint32_t entry = b->entry[__builtin_ctz(mask)];

		if (entry && slu_session_table_is(slu_session_table_hot(t, entry), entry, key))
			return entry;
	}
	return 0;
}

uint32_t slu_session_table_find(const struct slu_session_table *t, uint64_t hash, const struct slu_session_key *key)
{
	uint32_t bucket = slu_session_table_bucket(t, hash);
	uint32_t entry = find_in(t, bucket, (uint16_t)hash, key);

	if (entry || !t->buckets[bucket].overflow)
		return entry;
	return find_in(t, slu_session_table_alternative(t, bucket, (uint16_t)hash), (uint16_t)hash, key);
}

static int free_place(const struct slu_bucket *bucket)
{
	for (int i = 0; i < SLU_BUCKET_ENTRIES; i++)
		if (!bucket->entry[i])
			return i;
	return -1;
}

static void store(struct slu_bucket *bucket, int place, uint16_t tag, uint32_t entry)
{
	bucket->tag[place] = tag;
	__atomic_store_n(&bucket->entry[place], entry, __ATOMIC_RELEASE);
}

/* Moves some entry of a full bucket to its alternative. Returns the place it left, or -1. The entry is never missing.
 */
static int make_place(struct slu_session_table *t, uint32_t index)
{
	struct slu_bucket *bucket = &t->buckets[index];

	for (int i = 0; i < SLU_BUCKET_ENTRIES; i++) {
		uint32_t other_index = slu_session_table_alternative(t, index, bucket->tag[i]);
		struct slu_bucket *other = &t->buckets[other_index];
		int place = free_place(other);

		if (place < 0 || other_index == index)
			continue;
		if (bucket->entry[i] & SLU_ENTRY_SECONDARY) {
			store(other, place, bucket->tag[i], bucket->entry[i] & ~SLU_ENTRY_SECONDARY);
			other->overflow--;
		} else {
			bucket->overflow++;
			store(other, place, bucket->tag[i], bucket->entry[i] | SLU_ENTRY_SECONDARY);
		}
		store(bucket, i, 0, 0);
		return i;
	}
	return -1;
}

static int insert_entry(struct slu_session_table *t, uint64_t hash, uint32_t entry)
{
	uint16_t tag = (uint16_t)hash;
	uint32_t first = slu_session_table_bucket(t, hash);
	uint32_t second = slu_session_table_alternative(t, first, tag);
	int place = free_place(&t->buckets[first]);

	if (place < 0 && (place = free_place(&t->buckets[second])) < 0) {
		place = make_place(t, first);
		if (place < 0 && (place = make_place(t, second)) < 0)
			return -ENOSPC;
	}
	if (!t->buckets[first].entry[place]) {
		store(&t->buckets[first], place, tag, entry);
		return 0;
	}
	t->buckets[first].overflow++;
	store(&t->buckets[second], place, tag, entry | SLU_ENTRY_SECONDARY);
	return 0;
}

static bool remove_from(struct slu_bucket *bucket, uint32_t entry)
{
	for (int i = 0; i < SLU_BUCKET_ENTRIES; i++) {
		if (bucket->entry[i] == entry) {
			store(bucket, i, 0, 0);
			return true;
		}
	}
	return false;
}

static bool remove_entry(struct slu_session_table *t, uint64_t hash, uint32_t entry)
{
	uint32_t first = slu_session_table_bucket(t, hash);
	uint32_t second = slu_session_table_alternative(t, first, (uint16_t)hash);

	if (remove_from(&t->buckets[first], entry))
		return true;
	if (!remove_from(&t->buckets[second], entry | SLU_ENTRY_SECONDARY))
		return false;
	t->buckets[first].overflow--;
	return true;
}

static bool remove_direction(struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	struct slu_session_key key = slu_session_table_key(t, sid, dir);

	return remove_entry(t, slu_session_table_hash(t, &key), sid | (dir ? SLU_ENTRY_REPLY : 0));
}

/* The session that the next allocation will return. */
static void prefetch_next(const struct slu_session_table *t, bool ipv6)
{
	uint32_t sid = ipv6 ? SLU_ENTRY_IPV6 : 0;

	if (!t->free_count[ipv6])
		return; /* used for the first time, in order: the processor sees that itself */
	sid |= t->free_list[ipv6][t->free_count[ipv6] - 1];
	__builtin_prefetch(slu_session_table_hot(t, sid), 1);
	__builtin_prefetch(slu_session_table_cold(t, sid), 1);
	if (ipv6)
		__builtin_prefetch(slu_session_table_addresses(t, sid), 1);
}

uint32_t slu_session_table_alloc(struct slu_session_table *t, bool ipv6)
{
	uint32_t index, sid;
	struct slu_session_cold *cold;

	if (t->count >= t->capacity)
		return 0;
	if (t->free_count[ipv6])
		index = t->free_list[ipv6][--t->free_count[ipv6]];
	else if (t->used[ipv6] < t->capacity)
		index = t->used[ipv6] + 1;
	else
		return 0;
	sid = index | (ipv6 ? SLU_ENTRY_IPV6 : 0);
	prefetch_next(t, ipv6);
	cold = slu_session_table_cold(t, sid);
	/* A crash can have left it odd. */
	cold->generation = (uint16_t)(cold->generation + (cold->generation & 1));
	memset(slu_session_table_hot(t, sid), 0, sizeof(struct slu_session_hot));
	memset(cold, 0, offsetof(struct slu_session_cold, generation));
	cold->offload[0] = cold->offload[1] = SLU_OFFLOAD_NONE;
	if (index > t->used[ipv6])
		__atomic_store_n(&t->used[ipv6], index, __ATOMIC_RELEASE);
	__atomic_store_n(&t->count, t->count + 1, __ATOMIC_RELAXED);
	return sid;
}

static bool has_yielded(const struct slu_session_table *t, uint32_t sid)
{
	return slu_session_table_cold(t, sid)->sync & SLU_SYNC_YIELDED;
}

static void set_published(struct slu_session_table *t, uint32_t sid, bool published)
{
	struct slu_session_cold *cold = slu_session_table_cold(t, sid);

	if ((cold->generation & 1) != published)
		__atomic_store_n(&cold->generation, (uint16_t)(cold->generation + 1), __ATOMIC_RELEASE);
}

void slu_session_table_release(struct slu_session_table *t, uint32_t sid)
{
	bool ipv6 = sid & SLU_ENTRY_IPV6;

	set_published(t, sid, false);
	/* A candidate looked up before must not fit any more. */
	slu_session_table_hot(t, sid)->proto_vpc = 0;
	t->free_list[ipv6][t->free_count[ipv6]++] = sid & SLU_ENTRY_INDEX;
	__atomic_store_n(&t->count, t->count - 1, __ATOMIC_RELAXED);
}

int slu_session_table_publish(struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_key request = slu_session_table_key(t, sid, 0);
	struct slu_session_key reply = slu_session_table_key(t, sid, 1);

	set_published(t, sid, true);
	if (insert_entry(t, slu_session_table_hash(t, &reply), sid | SLU_ENTRY_REPLY))
		return -ENOSPC;
	if (has_yielded(t, sid))
		return 0;
	if (insert_entry(t, slu_session_table_hash(t, &request), sid)) {
		remove_direction(t, sid, 1);
		return -ENOSPC;
	}
	return 0;
}

/* The flag stands longer than the entry is missing, so that a crash finds a whole session or a yielded one. */
void slu_session_table_yield(struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(t, sid);

	if (has_yielded(t, sid))
		return;
	__atomic_store_n(&cold->sync, cold->sync | SLU_SYNC_YIELDED, __ATOMIC_RELEASE);
	remove_direction(t, sid, 0);
}

int slu_session_table_reclaim(struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(t, sid);
	struct slu_session_key request = slu_session_table_key(t, sid, 0);

	if (insert_entry(t, slu_session_table_hash(t, &request), sid))
		return -ENOSPC;
	__atomic_store_n(&cold->sync, cold->sync & ~SLU_SYNC_YIELDED, __ATOMIC_RELEASE);
	return 0;
}

void slu_session_table_remove(struct slu_session_table *t, uint32_t sid)
{
	bool request = has_yielded(t, sid) || remove_direction(t, sid, 0);
	bool reply = remove_direction(t, sid, 1);

	assert(request && reply);
	(void)request;
	(void)reply;
	slu_session_table_release(t, sid);
}

bool slu_session_table_next(const struct slu_session_table *t, uint32_t *sid)
{
	for (unsigned int family = *sid & SLU_ENTRY_IPV6 ? 1 : 0; family < 2; family++) {
		uint32_t bit = family ? SLU_ENTRY_IPV6 : 0;
		uint32_t used = __atomic_load_n(&t->used[family], __ATOMIC_ACQUIRE);

		if ((*sid & SLU_ENTRY_IPV6) != bit)
			*sid = bit;
		for (uint32_t i = (*sid & SLU_ENTRY_INDEX) + 1; i <= used; i++) {
			const struct slu_session_cold *cold = slu_session_table_cold(t, i | bit);

			if (__atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE) & 1) {
				*sid = i | bit;
				return true;
			}
		}
	}
	return false;
}

/* ---------------------------------------------------------------- recovery */

/* What the scan has seen of each session, by family and index: bit dir. */
struct scan {
	uint8_t *seen[2];
	uint32_t dropped;
};

/* Whether an entry stands where its session's key belongs, once. */
static bool entry_is_right(struct slu_session_table *t, struct scan *scan, uint32_t bucket, int place)
{
	uint32_t entry = t->buckets[bucket].entry[place], index = entry & SLU_ENTRY_INDEX;
	unsigned int dir = entry >> 31, family = entry & SLU_ENTRY_IPV6 ? 1 : 0;
	struct slu_session_key key;
	uint32_t home;
	uint64_t hash;

	if (index == 0 || index > t->capacity)
		return false;
	if (!(slu_session_table_cold(t, entry)->generation & 1))
		return false;
	key = slu_session_table_key(t, entry, dir);
	hash = slu_session_table_hash(t, &key);
	home = slu_session_table_bucket(t, hash);
	if (entry & SLU_ENTRY_SECONDARY)
		home = slu_session_table_alternative(t, home, (uint16_t)hash);
	if (home != bucket || t->buckets[bucket].tag[place] != (uint16_t)hash)
		return false;
	if (scan->seen[family][index] & 1u << dir)
		return false; /* a crash in the middle of a move leaves two */
	scan->seen[family][index] |= 1u << dir;
	return true;
}

static void scan_buckets(struct slu_session_table *t, struct scan *scan)
{
	for (uint32_t b = 0; b < t->bucket_count; b++)
		t->buckets[b].overflow = 0;
	for (uint32_t b = 0; b < t->bucket_count; b++) {
		struct slu_bucket *bucket = &t->buckets[b];

		for (int i = 0; i < SLU_BUCKET_ENTRIES; i++) {
			if (!bucket->entry[i])
				continue;
			if (!entry_is_right(t, scan, b, i))
				store(bucket, i, 0, 0);
			else if (bucket->entry[i] & SLU_ENTRY_SECONDARY)
				t->buckets[slu_session_table_alternative(t, b, bucket->tag[i])].overflow++;
		}
	}
}

/* Keeps sessions seen in both directions, and those that yielded one; everything else up to the last used index is
 * free. */
static int64_t scan_sessions(struct slu_session_table *t, struct scan *scan)
{
	int64_t kept = 0;

	for (unsigned int family = 0; family < 2; family++) {
		uint32_t bit = family ? SLU_ENTRY_IPV6 : 0, last = t->capacity;

		while (last && !scan->seen[family][last])
			last--;
		t->used[family] = last;
		for (uint32_t i = last; i; i--) {
			struct slu_session_cold *cold = slu_session_table_cold(t, i | bit);

			if (scan->seen[family][i] == 3) {
				cold->sync &= (uint8_t)~SLU_SYNC_YIELDED;
				kept++;
				continue;
			}
			if (scan->seen[family][i] == 2 && cold->sync & SLU_SYNC_YIELDED) {
				kept++;
				continue;
			}
			for (unsigned int dir = 0; dir < 2; dir++)
				if (scan->seen[family][i] & 1u << dir)
					remove_direction(t, i | bit, dir);
			scan->dropped += cold->generation & 1;
			cold->generation = (uint16_t)(cold->generation + (cold->generation & 1));
			t->free_list[family][t->free_count[family]++] = i;
		}
	}
	return kept;
}

int64_t slu_session_table_recover(struct slu_session_table *t, uint32_t *dropped)
{
	struct scan scan = {0};
	int64_t kept = -ENOMEM;

	scan.seen[0] = calloc(t->capacity + 1, 1);
	scan.seen[1] = calloc(t->capacity + 1, 1);
	if (scan.seen[0] && scan.seen[1]) {
		scan_buckets(t, &scan);
		kept = scan_sessions(t, &scan);
		t->count = (uint32_t)kept;
		*dropped = scan.dropped;
	}
	free(scan.seen[0]);
	free(scan.seen[1]);
	return kept;
}
