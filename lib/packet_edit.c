#include "packet_edit.h"

void slu_packet_edit_deltas(
	const void *old_tuple, const void *new_tuple, unsigned int address_bytes, uint16_t *l3, uint16_t *l4)
{
	if (l3)
		*l3 = slu_checksum_delta(old_tuple, new_tuple, 2 * address_bytes);
	*l4 = slu_checksum_delta(old_tuple, new_tuple, 2 * address_bytes + 4);
}
