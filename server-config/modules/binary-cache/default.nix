{
  imports = [
    ../../flags.nix
    ../mesh/options.nix
    ./options.nix
    ./assertions.nix
    ./serve.nix
    ./use.nix
  ];
}
