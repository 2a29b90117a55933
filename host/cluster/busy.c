#include "host/cluster/busy.h"

#include "host/dataplane/dataplane.h"

#define IDLE_MS 1000u /* a session that saw a packet within this is busy */
#define LOOKS 20000u  /* sessions looked at in a tick */

void slu_busy_look(struct slu_busy *busy, struct slu_dataplane *dp)
{
	struct slu_session_snapshot snapshots[64];
	uint32_t looked = 0, count;

	while (looked < LOOKS) {
		count = slu_dataplane_sessions(dp, &busy->cursor, snapshots, 64);
		if (count == 0) {
			busy->last = busy->found;
			busy->known = true;
			busy->found = 0;
			busy->cursor = 0;
			return;
		}
		for (uint32_t i = 0; i < count; i++)
			busy->found += snapshots[i].idle_ms < IDLE_MS && !snapshots[i].heard;
		looked += count;
	}
}
