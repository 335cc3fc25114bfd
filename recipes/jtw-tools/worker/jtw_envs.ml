(* Environments: separate sets of names in one toplevel.

   The typing environment is a value and so easy to keep apart. The values
   themselves live in the toplevel's one table, by name; what an environment
   defined is remembered here and put back into the table when evaluation
   switches to that environment. Libraries, printers and warning settings are
   shared by all. *)

type t = {
  mutable typing : Env.t;
  values : (string, Obj.t) Hashtbl.t;
}

let all : (string, t) Hashtbl.t = Hashtbl.create 8

(* Standard library opened, nothing else; set by [initialize]. *)
let fresh = ref Env.empty

(* The environment whose values the toplevel's table holds now. *)
let current : t option ref = ref None

let name id = if id = "" then "default" else id

let initialize () =
  Sys.interactive := false;
  Toploop.initialize_toplevel_env ();
  Toploop.input_name := "//toplevel//";
  Location.input_name := "//toplevel//";
  Sys.interactive := true;
  fresh := !Toploop.toplevel_env

let create id =
  let env = { typing = !fresh; values = Hashtbl.create 64 } in
  Hashtbl.replace all (name id) env;
  env

let destroy id = Hashtbl.remove all (name id)

let find id =
  match Hashtbl.find_opt all (name id) with
  | Some env -> env
  | None -> create id

let list () =
  List.sort compare (Hashtbl.fold (fun id _ acc -> id :: acc) all [])

let remember env ~before =
  List.iter
    (fun ident ->
      (* aliases of modules and externals have no value of their own *)
      match Topeval.EvalBase.eval_ident ident with
      | v -> Hashtbl.replace env.values (Translmod.toplevel_name ident) v
      | exception _ -> ())
    (Env.diff before env.typing)

(* Runs [f] with [env] as the toplevel's environment. *)
let within env f =
  (match !current with
  | Some c when c == env -> ()
  | _ ->
      Hashtbl.iter Toploop.setvalue env.values;
      current := Some env);
  let before = env.typing in
  Toploop.toplevel_env := before;
  Fun.protect f ~finally:(fun () ->
      env.typing <- !Toploop.toplevel_env;
      if env.typing != before then remember env ~before)
