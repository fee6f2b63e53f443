/* A planted overflow: an item of 64 bytes is received into memory of 16. */
#include <stdlib.h>

#include <taskmgr/channel.h>

int main(void)
{
	struct tmgr_channel *channel;
	char item[64] = "item", *small = malloc(16);

	if (small == NULL || tmgr_channel_create(sizeof(item), 1, &channel) != 0)
		return 0;
	tmgr_channel_send(NULL, channel, item, TMGR_NOW);
	tmgr_channel_receive(NULL, channel, small, TMGR_NOW);
	tmgr_channel_unref(channel);
	free(small);
	return 0;
}
