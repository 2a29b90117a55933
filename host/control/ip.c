#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "host/control/ip.h"

int slu_ip_parse(const char *text, struct slu_ip *ip)
{
	struct slu_ip read = {0};

	if (inet_pton(AF_INET, text, read.bytes) == 1)
		read.family = 4;
	else if (inet_pton(AF_INET6, text, read.bytes) == 1)
		read.family = 6;
	else
		return -EINVAL;
	*ip = read;
	return 0;
}

const char *slu_ip_format(const struct slu_ip *ip, char text[SLU_IP_TEXT_BYTES])
{
	if (ip->family == 0 ||
		inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, text, SLU_IP_TEXT_BYTES) == NULL)
		strcpy(text, "-");
	return text;
}

int slu_ip_compare(const struct slu_ip *a, const struct slu_ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool slu_ip_increment(struct slu_ip *ip)
{
	struct slu_ip next = *ip;

	for (int i = (ip->family == 4 ? 4 : 16) - 1; i >= 0; i--) {
		if (++next.bytes[i] != 0) {
			*ip = next;
			return true;
		}
	}
	return false;
}

struct slu_ip slu_ip_network(const struct slu_ip *ip, unsigned bits)
{
	struct slu_ip network = *ip;

	for (unsigned i = 0; i < sizeof(network.bytes); i++) {
		unsigned keep = bits > 8 * i ? bits - 8 * i : 0;

		if (keep < 8)
			network.bytes[i] &= (uint8_t)(0xFF00 >> keep);
	}
	return network;
}

bool slu_ip_within(const struct slu_ip *ip, const struct slu_ip *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (ip->family != network->family || memcmp(ip->bytes, network->bytes, whole) != 0)
		return false;
	return rest == 0 || ((ip->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}
