"""What the first process of a container owes: it inherits the children of processes that end, and has to bury them."""

import os
from collections.abc import Container


def bury(own: Container[int | None]) -> None:
    """Bury every child that has ended and was not started by this program, whose own processes are `own`.

    Does nothing unless this is the first process of its namespace: nobody else inherits children. Does not wait.
    """
    if os.getpid() != 1:
        return
    try:
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return  # an own one is buried by those who started it; what lies behind it has its turn next time
            os.waitpid(ended.si_pid, os.WNOHANG)
    except ChildProcessError:
        return
