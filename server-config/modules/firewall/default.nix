{
  imports = [
    ../../flags.nix
    ../preview-containers/options.nix
    ./options.nix
    ./assertions.nix
    ./outside.nix
    ./tenants.nix
  ];
}
