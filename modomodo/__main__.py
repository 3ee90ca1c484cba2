from modomodo.cli import main

main()
