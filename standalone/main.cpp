// The multi-call binary `nodevirt`: the commands that bring a machine up, and every program of it.
int main() { return 0; }
