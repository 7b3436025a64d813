from llm_api.cli import main

main()
