/*
 * What every RTL bench shares: TAP lines, a deterministic random source, bytes in and out of Verilator's wide ports,
 * and ones' complement arithmetic that knows nothing of the RTL.
 */
#ifndef SLU_TESTS_RTL_BENCH_H
#define SLU_TESTS_RTL_BENCH_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace bench
{

typedef std::vector<uint8_t> Bytes;

/* xorshift64*: the same numbers on every machine. */
struct Random {
	uint64_t state;

	explicit Random(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15ull + 1)
	{
		for (int i = 0; i < 8; i++)
			next();
	}
	uint64_t next()
	{
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		return state * 0x2545F4914F6CDD1Dull;
	}
	/* 0 .. n - 1 */
	uint32_t below(uint32_t n)
	{
		return (uint32_t)((next() >> 32) * n >> 32);
	}
	uint32_t between(uint32_t low, uint32_t high)
	{
		return low + below(high - low + 1);
	}
	bool percent(uint32_t p)
	{
		return below(100) < p;
	}
};

/* Test Anything Protocol. A test's name is a sentence. */
struct Tap {
	int count = 0;
	int failed = 0;

	bool ok(bool good, const std::string &sentence)
	{
		printf("%sok %d - %s\n", good ? "" : "not ", ++count, sentence.c_str());
		fflush(stdout);
		failed += !good;
		return good;
	}
	int end() const
	{
		printf("1..%d\n", count);
		return failed != 0;
	}
};

/* Words of a Verilator vector (VlWide, or a plain integer port seen as words), bit `bit` (a multiple of 8) onwards. */
inline void put(void *port, unsigned bit, const void *bytes, size_t count)
{
	memcpy((uint8_t *)port + bit / 8, bytes, count);
}

inline void get(const void *port, unsigned bit, void *bytes, size_t count)
{
	memcpy(bytes, (const uint8_t *)port + bit / 8, count);
}

inline uint64_t get_bits(const void *port, unsigned bit, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)(((const uint8_t *)port)[(bit + i) / 8] >> (bit + i) % 8 & 1) << i;
	return value;
}

inline void put_bits(void *port, unsigned bit, unsigned count, uint64_t value)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t *byte = (uint8_t *)port + (bit + i) / 8;
		uint8_t mask = (uint8_t)(1u << (bit + i) % 8);

		*byte = (uint8_t)((value >> i & 1) ? *byte | mask : *byte & ~mask);
	}
}

inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

inline void put_be16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* Sum of big-endian 16-bit words modulo 65535, in 0..65534. */
inline uint32_t sum16(const uint8_t *p, size_t count, uint32_t sum = 0)
{
	for (size_t i = 0; i + 1 < count; i += 2)
		sum += be16(p + i);
	if (count & 1)
		sum += (uint32_t)p[count - 1] << 8;
	return sum % 65535;
}

inline double cpu_seconds()
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

} // namespace bench

#endif
