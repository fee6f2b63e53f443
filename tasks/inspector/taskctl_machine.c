#include "taskctl_machine.h"

static const struct taskctl_command commands[] = {
	{ "check", "say what is wrong with states files", taskctl_machine_check },
	{ "generate", "write a states file as C", taskctl_machine_generate },
	{ "graph", "draw a states file, as DOT or Mermaid", taskctl_machine_graph },
	{ "replay", "print a recording, step by step", taskctl_machine_replay },
	{ 0 },
};

int taskctl_machine(int argc, char **argv)
{
	return taskctl_dispatch("taskctl machine", commands, argc, argv);
}
