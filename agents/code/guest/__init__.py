"""What runs inside the child process of a CODE agent: only the standard library, nothing of the rest of the project.

Three processes, each forked from the one before, so that every guard is out of reach of what it guards:

    supervisor   started by the worker with an empty environment; creates the namespaces, watches memory and CPU of
                 everything below it, kills it, and reports how it ended
    init         first process of the new PID namespace; arranges the file system and collects orphans
    program      gives up its privileges, then runs the user's code
"""
