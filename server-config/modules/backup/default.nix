{
  imports = [
    ../../flags.nix
    ../observability/options.nix
    ./options.nix
    ./assertions.nix
    ./restic.nix
    ./drill.nix
  ];
}
